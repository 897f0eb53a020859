//! Reading stored messages: the last of a subject, or many in one request.

use crate::{BusError, Inner, message};
use async_nats::Message;
use async_nats::jetstream::message::StreamMessage;
use bytes::Bytes;
use futures::StreamExt;
use serde::Serialize;
use std::time::Duration;

const ANSWER_WITHIN: Duration = Duration::from_secs(3);
const NOT_FOUND: u16 = 404;
const SEQUENCE: &str = "Nats-Sequence";
const SUBJECT: &str = "Nats-Subject";

/// A message as it lies in a stream.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) sequence: u64,
    pub(crate) headers: Option<async_nats::HeaderMap>,
    pub(crate) payload: Bytes,
}

/// What a batch read asks for. Field names are the protocol's.
#[derive(Serialize)]
pub(crate) struct Query<'a> {
    /// First sequence to look at.
    pub(crate) seq: u64,
    /// Subject, wildcards allowed.
    pub(crate) next_by_subj: &'a str,
    /// Messages at most.
    pub(crate) batch: usize,
    /// Bytes at most (the server may go over by one message).
    pub(crate) max_bytes: usize,
}

impl Inner {
    /// The last message of a subject, from whichever replica answers.
    pub(crate) async fn last(&self, stream: &str, subject: &str) -> Result<Option<Stored>, BusError> {
        let api = format!("$JS.API.DIRECT.GET.{stream}.{subject}");
        self.direct(stream, api, Bytes::new()).await
    }

    /// The last message of a subject that may hold wildcards.
    pub(crate) async fn last_matching(&self, stream: &str, filter: &str) -> Result<Option<Stored>, BusError> {
        let query = serde_json::json!({ "last_by_subj": filter }).to_string();
        self.direct(stream, format!("$JS.API.DIRECT.GET.{stream}"), query.into()).await
    }

    async fn direct(&self, stream: &str, api: String, query: Bytes) -> Result<Option<Stored>, BusError> {
        let request = async_nats::Request::new().payload(query).timeout(Some(ANSWER_WITHIN));
        let message = self
            .client
            .send_request(api, request)
            .await
            .map_err(|error| BusError::unavailable(&format!("reading {stream}"), error))?;
        if let Some(status) = message.status {
            return if status.as_u16() == NOT_FOUND {
                Ok(None)
            } else {
                Err(BusError::unavailable(&format!("reading {stream}"), status))
            };
        }
        stored(message).map(Some)
    }

    /// The last message of a subject as the stream's leader knows it: current even where replicas lag.
    pub(crate) async fn last_at_leader(&self, stream: &str, subject: &str) -> Result<Option<Stored>, BusError> {
        use async_nats::jetstream::stream::LastRawMessageErrorKind;
        let what = format!("reading {stream}");
        let handle = self.js.get_stream_no_info(stream).await.map_err(|error| BusError::unavailable(&what, error))?;
        match handle.get_last_raw_message_by_subject(subject).await {
            Ok(found) => Ok(Some(raw(found))),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(BusError::unavailable(&what, error)),
        }
    }

    /// The message at a sequence, as the stream's leader knows it.
    pub(crate) async fn at(&self, stream: &str, sequence: u64) -> Result<Option<Stored>, BusError> {
        use async_nats::jetstream::stream::RawMessageErrorKind;
        let what = format!("reading {stream}");
        let handle = self.js.get_stream_no_info(stream).await.map_err(|error| BusError::unavailable(&what, error))?;
        match handle.get_raw_message(sequence).await {
            Ok(found) => Ok(Some(raw(found))),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(BusError::unavailable(&what, error)),
        }
    }

    /// Messages of a subject from a sequence on, in order, and whether more are left.
    pub(crate) async fn read(&self, stream: &str, query: &Query<'_>) -> Result<(Vec<Stored>, bool), BusError> {
        let what = format!("reading {stream}");
        let inbox = self.client.new_inbox();
        let mut answers =
            self.client.subscribe(inbox.clone()).await.map_err(|error| BusError::unavailable(&what, error))?;
        let payload = serde_json::to_vec(query).map_err(|error| BusError::corrupt(&what, error))?;
        self.client
            .publish_with_reply(format!("$JS.API.DIRECT.GET.{stream}"), inbox, payload.into())
            .await
            .map_err(|error| BusError::unavailable(&what, error))?;
        let mut found = Vec::new();
        loop {
            let next = tokio::time::timeout(ANSWER_WITHIN, answers.next()).await;
            let Ok(Some(message)) = next else {
                return Err(BusError::Unknown { what });
            };
            match message.status {
                None => found.push(stored(message)?),
                Some(status) if status.as_u16() == NOT_FOUND => return Ok((found, false)),
                Some(status) if status.as_u16() == 204 => {
                    let left = message::number(message.headers.as_ref(), "Nats-Num-Pending").unwrap_or(0);
                    return Ok((found, left > 0));
                }
                Some(status) => return Err(BusError::unavailable(&what, status)),
            }
        }
    }
}

fn raw(found: StreamMessage) -> Stored {
    Stored {
        subject: found.subject.to_string(),
        sequence: found.sequence,
        headers: Some(found.headers),
        payload: found.payload,
    }
}

fn stored(message: Message) -> Result<Stored, BusError> {
    let headers = message.headers.as_ref();
    let sequence = message::number(headers, SEQUENCE);
    let subject = headers.and_then(|map| map.get(SUBJECT)).map(|value| value.as_str().to_owned());
    match (sequence, subject) {
        (Some(sequence), Some(subject)) => {
            Ok(Stored { subject, sequence, headers: message.headers, payload: message.payload })
        }
        _ => Err(BusError::corrupt("a direct read", "it carries no sequence or subject")),
    }
}
