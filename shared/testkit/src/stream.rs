//! Server-sent events as they come over the wire.

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// One event, or one comment.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A record.
    Step {
        /// Its id.
        id: u64,
        /// What it carries.
        data: Value,
    },
    /// Any other named event.
    Named {
        /// Its name.
        name: String,
        /// What it carries.
        data: Value,
    },
    /// A comment line, without its colon.
    Comment(String),
}

/// An open stream.
pub struct Stream {
    bytes: BoxStream<'static, Result<Bytes, reqwest::Error>>,
    pending: String,
    /// Everything that came, as it came.
    pub raw: String,
    /// The headers of the answer.
    pub headers: HeaderMap,
}

impl Stream {
    pub(crate) fn new(response: reqwest::Response) -> Self {
        Self {
            headers: response.headers().clone(),
            bytes: response.bytes_stream().boxed(),
            pending: String::new(),
            raw: String::new(),
        }
    }

    /// The next event; none when the server closed the stream in order.
    ///
    /// # Errors
    /// When the connection broke.
    ///
    /// # Panics
    /// When an event is not one.
    pub async fn next(&mut self) -> Result<Option<Event>, String> {
        loop {
            if let Some((event, rest)) = self.pending.split_once("\n\n") {
                let (event, rest) = (parse(event), rest.to_owned());
                self.pending = rest;
                return Ok(Some(event));
            }
            match self.bytes.next().await {
                None if self.pending.is_empty() => return Ok(None),
                None => return Err(format!("the stream ended inside an event: {:?}", self.pending)),
                Some(Err(error)) => return Err(format!("{error:?}")),
                Some(Ok(bytes)) => {
                    // Records are escaped to what a text can be cut in; a cut character would show here.
                    let text = String::from_utf8_lossy(&bytes);
                    self.raw.push_str(&text);
                    self.pending.push_str(&text);
                }
            }
        }
    }
}

fn parse(text: &str) -> Event {
    if let Some(comment) = text.strip_prefix(':') {
        return Event::Comment(comment.trim().to_owned());
    }
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let data = field("data:").unwrap_or_default();
    let data = serde_json::from_str(data).unwrap_or_else(|error| panic!("{error} in the event {text:?}"));
    match (field("event:"), field("id:").and_then(|id| id.parse().ok())) {
        (Some("step"), Some(id)) => Event::Step { id, data },
        (name, _) => Event::Named { name: name.unwrap_or("message").to_owned(), data },
    }
}
