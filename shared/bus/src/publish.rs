//! One acknowledged publish, with every answer the server can give told apart.

use crate::{BusError, Inner};
use async_nats::client::RequestErrorKind;
use async_nats::{HeaderMap, Request};
use bytes::Bytes;
use serde::Deserialize;
use std::time::Duration;

/// Longer than any sync we measured; after it the outcome counts as unknown.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
const WRONG_LAST_SEQUENCE: u64 = 10_071;
const WRITE_IN_PROCESS: u64 = 10_164;
/// The class of answers that speak of the server's condition and not of the message.
const UNAVAILABLE: u64 = 500;

pub(crate) const EXPECTED_LAST: &str = "Nats-Expected-Last-Subject-Sequence";
pub(crate) const EXPECTED_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence-Subject";
pub(crate) const MESSAGE_ID: &str = "Nats-Msg-Id";

/// The server's answer to a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    /// It is stored at this sequence; `duplicate` when it was there already.
    Stored { sequence: u64, duplicate: bool },
    /// The fence did not hold; the subject's real last sequence.
    Fenced { last: u64 },
    /// Another fenced write to the subject is under way: try the same again in a moment.
    Busy,
}

/// A message that the broker has stored, now or before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Where it lies in its stream.
    pub sequence: u64,
    /// Whether one of the same id was there before; it stays, and `sequence` is its place.
    pub duplicate: bool,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    error: Option<ApiError>,
}

/// The error object of every JetStream answer.
#[derive(Deserialize)]
pub(crate) struct ApiError {
    #[serde(default)]
    pub(crate) code: u64,
    #[serde(default)]
    pub(crate) err_code: u64,
    #[serde(default)]
    pub(crate) description: String,
}

impl Inner {
    /// Publishes and waits for the stream's answer.
    pub(crate) async fn publish(
        &self,
        what: &'static str,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Published, BusError> {
        let (limit, bytes) = (self.client.max_payload(), payload.len() + weight(&headers));
        if limit > 0 && bytes > limit {
            return Err(BusError::TooLarge { what: what.to_owned(), bytes, limit });
        }
        let request = Request::new().headers(headers).payload(payload).timeout(Some(ANSWER_WITHIN));
        let message = self.client.send_request(subject, request).await.map_err(|error| refused(what, &error))?;
        let answer: Answer =
            serde_json::from_slice(&message.payload).map_err(|error| BusError::corrupt(what, error))?;
        match answer.error {
            None => Ok(Published::Stored { sequence: answer.seq, duplicate: answer.duplicate }),
            Some(error) if error.err_code == WRONG_LAST_SEQUENCE => Ok(Published::Fenced { last: trailing(&error) }),
            Some(error) if error.err_code == WRITE_IN_PROCESS => Ok(Published::Busy),
            // A full store, a stream without a leader, a server that is starting: nothing is wrong with the message.
            Some(error) if error.code >= UNAVAILABLE => Err(BusError::unavailable(what, error.description)),
            Some(error) => {
                Err(BusError::Refused { what: what.to_owned(), code: error.err_code, description: error.description })
            }
        }
    }

    /// Publishes something that may safely be stored twice or is recognised by its message id, trying again while the
    /// broker is away. Bounded: about six seconds.
    pub(crate) async fn publish_surely(
        &self,
        what: &'static str,
        subject: &str,
        headers: HeaderMap,
        payload: &Bytes,
    ) -> Result<Sent, BusError> {
        let mut pause = Duration::from_millis(10);
        let mut last = BusError::Unknown { what: what.to_owned() };
        for _ in 0..8 {
            match self.publish(what, subject.to_owned(), headers.clone(), payload.clone()).await {
                Ok(Published::Stored { sequence, duplicate }) => return Ok(Sent { sequence, duplicate }),
                Ok(Published::Busy | Published::Fenced { .. }) => {}
                Err(error) if error.is_transient() => last = error,
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
        Err(last)
    }
}

/// Bytes of headers on the wire. The server counts them too, and cuts the connection of a client that sends more than
/// it takes.
fn weight(headers: &HeaderMap) -> usize {
    let pairs = headers.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    pairs.map(|(name, value)| AsRef::<str>::as_ref(name).len() + value.as_str().len() + 4).sum::<usize>() + 12
}

/// "wrong last sequence: 17" → 17.
fn trailing(error: &ApiError) -> u64 {
    error.description.rsplit(':').next().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn refused(what: &str, error: &async_nats::client::RequestError) -> BusError {
    match error.kind() {
        RequestErrorKind::NoResponders => BusError::unavailable(what, "no stream leader answers"),
        RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
            BusError::Refused { what: what.to_owned(), code: 0, description: error.to_string() }
        }
        RequestErrorKind::TimedOut | RequestErrorKind::Other => BusError::Unknown { what: what.to_owned() },
    }
}
