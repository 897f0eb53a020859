//! What leaves the gateway: a notice through a channel or a callback to its address, and what became of it in the end.

use super::Notice;
use crate::{Time, uuid_from};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The end of a job, told to the address that its submitter gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Callback {
    /// The job, which has one end and so one callback.
    pub job: String,
    /// Where it goes.
    pub url: String,
    /// What is posted.
    pub body: CallbackBody,
}

/// The body of a callback. All five keys are always written, in this order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallbackBody {
    /// The job.
    pub job_id: String,
    /// `completed`, `failed`, and for those who ask, `cancelled` or `expired`.
    pub status: String,
    /// What the service answered, verbatim.
    pub result: Option<Box<RawValue>>,
    /// Why there is no result.
    pub error: Option<String>,
    /// When the job ended.
    pub timestamp: Time,
}

/// One thing on its way through one channel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outgoing {
    /// The same for each attempt, so that who receives it twice can know.
    pub id: String,
    /// The channel's name: a token of subjects.
    pub channel: String,
    /// What is carried.
    pub carried: Carried,
    /// Attempts that failed.
    #[serde(default)]
    pub attempts: u32,
    /// How often it was taken back from the dead letters.
    #[serde(default)]
    pub replays: u32,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is carried.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Carried {
    /// Something for people.
    Notice(Box<Notice>),
    /// The end of a job, for a program.
    Callback(Box<Callback>),
}

/// Something that could not be delivered, kept for a person to look at and send again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// When it was given up.
    pub at: Time,
    /// Why.
    pub error: String,
    /// What it is.
    pub outgoing: Outgoing,
}

/// A channel whose target said that it wants nothing more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisabledChannel {
    /// The channel's name.
    pub channel: String,
    /// Where it leads, without what may be a key: scheme, host and port.
    pub target: String,
    /// Why.
    pub because: String,
    /// Since when.
    pub at: Time,
}

impl Outgoing {
    /// The channel of callbacks.
    pub const CALLBACKS: &'static str = "callback";

    /// A notice through a channel.
    pub fn notice(channel: &str, notice: Notice) -> Self {
        let id = uuid_from(&[b"notice", channel.as_bytes(), notice.id.as_bytes()]);
        Self::new(id, channel, Carried::Notice(Box::new(notice)))
    }

    /// A callback to its address.
    pub fn callback(callback: Callback) -> Self {
        let id = uuid_from(&[b"callback", callback.job.as_bytes()]);
        Self::new(id, Self::CALLBACKS, Carried::Callback(Box::new(callback)))
    }

    fn new(id: String, channel: &str, carried: Carried) -> Self {
        Self { id, channel: channel.to_owned(), carried, attempts: 0, replays: 0, error: None }
    }

    /// Names this attempt of it: a send of the same attempt again is the same message.
    pub fn attempt_id(&self) -> String {
        format!("{}.{}.{}", self.id, self.replays, self.attempts)
    }

    /// The next attempt, after this one failed.
    #[must_use]
    pub fn after_failure(&self, error: String) -> Self {
        Self { attempts: self.attempts.saturating_add(1), error: Some(error), ..self.clone() }
    }

    /// As new, taken back from the dead letters.
    #[must_use]
    pub fn replayed(&self) -> Self {
        Self { attempts: 0, replays: self.replays.saturating_add(1), error: None, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_has_the_keys_of_the_contract_in_their_order_and_the_result_verbatim() {
        let body = CallbackBody {
            job_id: "j".to_owned(),
            status: "completed".to_owned(),
            result: RawValue::from_string("{\"z\":1, \"a\":2}".to_owned()).ok(),
            error: None,
            timestamp: Time::from_micros(0),
        };
        let text = "{\"job_id\":\"j\",\"status\":\"completed\",\"result\":{\"z\":1, \"a\":2},\"error\":null,\
                    \"timestamp\":\"1970-01-01T00:00:00.000000+00:00\"}";
        assert_eq!(serde_json::to_string(&body).unwrap(), text);
        let callback = Callback { job: "j".to_owned(), url: "http://x".to_owned(), body };
        let stored = serde_json::to_vec(&Outgoing::callback(callback)).unwrap();
        let read: Outgoing = serde_json::from_slice(&stored).unwrap();
        let Carried::Callback(read) = read.carried else { panic!("it was a callback") };
        assert_eq!(serde_json::to_string(&read.body).unwrap(), text, "it survives being stored");
    }

    #[test]
    fn attempts_differ_and_the_id_stays() {
        let notice = Notice::job_completed("j", "img", Time::from_micros(0));
        let first = Outgoing::notice("ntfy", notice.clone());
        let second = first.after_failure("refused".to_owned());
        let again = second.replayed();
        assert!(first.id == second.id && second.id == again.id);
        assert_ne!(first.attempt_id(), second.attempt_id());
        assert_ne!(first.attempt_id(), again.attempt_id());
        assert_eq!(first.attempt_id(), Outgoing::notice("ntfy", notice.clone()).attempt_id());
        assert_ne!(first.id, Outgoing::notice("webhook", notice).id, "each channel has its own");
    }
}
