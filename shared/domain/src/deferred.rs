//! Model requests that could not be served at once and were accepted as jobs: what is asked, how each stands, its answer.
//!
//! A job is one [`DeferredJob`], written anew under a fence each time it changes. Its request and its answers lie beside it.
//! An attempt is announced in it before a model server sees the request, and numbered, so that nothing runs twice unseen.

use crate::{Time, digest_hex, uuid_from};
use serde::{Deserialize, Serialize};

/// A job, as it is stored and as every proxy follows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeferredJob {
    /// `job_` and 32 hexadecimal digits.
    pub id: String,
    /// Who may see it and is charged for it.
    pub caller: DeferredCaller,
    /// The path that was called.
    pub path: String,
    /// The model as the client named it; none for the default one.
    pub model: Option<String>,
    /// The id of the request that became this job.
    pub request_id: String,
    /// Of path and body, so that the same again can be told from something else.
    pub digest: String,
    /// Where its end is told.
    pub callback_url: Option<String>,
    /// The stored request.
    pub request: StoredBody,
    /// When it was accepted.
    pub created_at: Time,
    /// When it is given up unless a model server has it by then.
    pub expires_at: Time,
    /// How it stands.
    pub status: DeferredStatus,
    /// Attempts that a model server may have seen.
    pub attempt: u32,
    /// Attempts of which no end is known, or that ended in the middle.
    pub lost: u32,
    /// The proxy that has it in hand; another may take it once that one is silent.
    pub holder: Option<String>,
    /// Why it waits, or why there is no answer.
    pub because: Option<String>,
    /// When the last attempt began.
    pub started_at: Option<Time>,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// What was answered.
    pub response: Option<DeferredResponse>,
    /// Whether its end has still to be handed to the notifier.
    #[serde(default)]
    pub untold: bool,
}

/// Whose job it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeferredCaller {
    /// Only the same caller sees the job: a tenant, a key or an address.
    pub owner: String,
    /// The key by which it is counted and limited; none where no key was asked for.
    pub key_id: Option<String>,
    /// That key's name.
    pub key: Option<String>,
    /// Who is charged.
    pub tenant: String,
    /// Its weight in queues beside other tenants.
    pub weight: u32,
    /// Higher goes first.
    pub priority: i32,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeferredStatus {
    /// It waits for a model server.
    Queued,
    /// A model server may have it.
    Running,
    /// It has an answer.
    Completed,
    /// It has an error.
    Failed,
    /// It was taken back.
    Cancelled,
    /// Its time was over before a model server could take it.
    Expired,
}

/// Bytes that are stored beside a job, in parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBody {
    /// Under which they lie there.
    pub name: String,
    /// How many parts.
    pub parts: u32,
    /// How many bytes.
    pub bytes: u64,
}

/// The answer of the attempt that ended the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeferredResponse {
    /// As a client that waited would have seen it.
    pub status_code: u16,
    /// The same.
    pub content_type: String,
    /// The stored body.
    pub body: StoredBody,
}

impl DeferredStatus {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Completed, Self::Failed, Self::Cancelled, Self::Expired];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// The status of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether nothing can change any more.
    pub fn is_end(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl DeferredCaller {
    /// Somebody without a key, charged under that name and like anybody else.
    pub fn without_key(owner: &str, tenant: &str) -> Self {
        let (owner, tenant) = (owner.to_owned(), tenant.to_owned());
        Self { owner, key_id: None, key: None, tenant, weight: 1, priority: 0 }
    }
}

impl DeferredJob {
    /// A job that waits and of which nothing else is known.
    pub fn new(id: String, caller: DeferredCaller, path: &str, created_at: Time, expires_at: Time) -> Self {
        Self {
            id,
            caller,
            path: path.to_owned(),
            model: None,
            request_id: String::new(),
            digest: String::new(),
            callback_url: None,
            request: StoredBody::default(),
            created_at,
            expires_at,
            status: DeferredStatus::Queued,
            attempt: 0,
            lost: 0,
            holder: None,
            because: None,
            started_at: None,
            ended_at: None,
            response: None,
            untold: false,
        }
    }

    /// The job with that end.
    #[must_use]
    pub fn ended(&self, status: DeferredStatus, because: Option<String>, at: Time) -> Self {
        let untold = self.callback_url.is_some();
        Self { status, because, ended_at: Some(at), untold, ..self.clone() }
    }

    /// The job back in the queue, in nobody's hand.
    #[must_use]
    pub fn put_back(&self, because: String) -> Self {
        Self { status: DeferredStatus::Queued, holder: None, because: Some(because), ..self.clone() }
    }

    /// The job in that proxy's hand. If an attempt was under way, its end is not known.
    #[must_use]
    pub fn taken_by(&self, holder: &str) -> Self {
        let lost = self.lost + u32::from(self.status == DeferredStatus::Running);
        Self { status: DeferredStatus::Queued, holder: Some(holder.to_owned()), lost, ..self.clone() }
    }

    /// The next attempt, which a model server is about to see.
    #[must_use]
    pub fn attempted(&self, at: Time) -> Self {
        let attempt = self.attempt + 1;
        Self { status: DeferredStatus::Running, attempt, started_at: Some(at), because: None, ..self.clone() }
    }
}

/// The id of the job that a caller's idempotency key stands for.
pub fn id_of_key(owner: &str, key: &str) -> String {
    id_from(&uuid_from(&[b"deferred", owner.as_bytes(), key.as_bytes()]))
}

/// The id of a job, from a UUID that nobody else has.
pub fn id_from(uuid: &str) -> String {
    format!("job_{}", uuid.replace('-', ""))
}

/// Whether a text can be a job's id.
pub fn is_id(text: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix("job_").is_some_and(|rest| rest.len() == 32 && rest.bytes().all(hex))
}

/// Tells one request from another.
pub fn digest_of(path: &str, body: &[u8]) -> String {
    digest_hex(&[path.as_bytes(), body])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> DeferredJob {
        let caller = DeferredCaller::without_key("key:a", "alice");
        let job = DeferredJob::new(id_of_key("key:a", "k"), caller, "/", Time::from_micros(0), Time::from_micros(1));
        DeferredJob { callback_url: Some("https://example.com/".to_owned()), ..job }
    }

    #[test]
    fn an_attempt_whose_end_nobody_knows_is_counted_as_lost_when_another_takes_the_job() {
        let running = job().taken_by("a").attempted(Time::from_micros(2));
        assert_eq!((running.attempt, running.lost, running.status), (1, 0, DeferredStatus::Running));
        let taken = running.taken_by("b");
        assert_eq!((taken.attempt, taken.lost, taken.status), (1, 1, DeferredStatus::Queued));
        let back = taken.put_back("busy".to_owned()).taken_by("c").attempted(Time::from_micros(3));
        assert_eq!((back.attempt, back.lost, back.holder.as_deref()), (2, 1, Some("c")));
        assert!(back.ended(DeferredStatus::Completed, None, Time::from_micros(4)).untold);
    }

    #[test]
    fn a_key_means_one_job_for_its_caller_and_another_for_others() {
        assert_eq!(id_of_key("key:a", "k"), id_of_key("key:a", "k"));
        assert_ne!(id_of_key("key:a", "k"), id_of_key("key:b", "k"));
        assert!(is_id(&id_of_key("key:a", "k")) && !is_id("job_x") && !is_id(&format!("job_{}", "G".repeat(32))));
    }

    #[test]
    fn every_status_has_a_word() {
        for status in DeferredStatus::ALL {
            assert_eq!(DeferredStatus::parse(status.as_str()), Some(status));
        }
        assert_eq!(DeferredStatus::parse("paused"), None);
    }
}
