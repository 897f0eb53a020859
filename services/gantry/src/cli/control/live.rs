//! What the gateway tells as it happens, over connections that are made again when they break.

use super::super::sse::{Event, Parser};
use super::super::{Client, RequestError};
use futures::StreamExt;
use futures::stream::{BoxStream, SelectAll, select_all, unfold};
use reqwest::Response;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Silence for so long means that the connection is dead; the gateway shows a sign of life every 15 seconds.
const SILENCE: Duration = Duration::from_secs(45);
/// Pause before the first new connection, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// The streams that tell of jobs, services and GPUs.
pub(super) const STREAMS: [&[&str]; 2] = [&["queue", "events"], &["gpu", "events"]];

/// What is heard of a stream.
#[derive(Debug)]
pub(super) enum Heard {
    /// It is open; what happened before that was not told.
    Opened,
    /// Something happened.
    Told(Event),
    /// The connection broke and is made again.
    Lost {
        /// Why.
        why: String,
    },
    /// The gateway does not give it, and asking again does not help. The stream has ended.
    Refused(RequestError),
}

struct Line {
    client: Client,
    segments: &'static [&'static str],
    open: Option<(Response, Parser)>,
    ready: VecDeque<Event>,
    last: Option<String>,
    pause: Duration,
    ended: bool,
}

/// Listens to several streams at once.
pub(super) fn listen(client: &Client, streams: &[&'static [&'static str]]) -> SelectAll<BoxStream<'static, Heard>> {
    select_all(streams.iter().map(|segments| {
        let line = Line {
            client: client.clone(),
            segments,
            open: None,
            ready: VecDeque::new(),
            last: None,
            pause: Duration::ZERO,
            ended: false,
        };
        unfold(line, |mut line| async move { Some((line.next().await?, line)) }).boxed()
    }))
}

impl Line {
    async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.last = event.id.clone().or(self.last.take());
                return Some(Heard::Told(event));
            }
            if self.ended {
                return None;
            }
            let Some((response, parser)) = &mut self.open else { return Some(self.connect().await) };
            let lost = match timeout(SILENCE, response.chunk()).await {
                Ok(Ok(Some(bytes))) => match parser.push(&bytes) {
                    Ok(events) => {
                        self.pause = Duration::ZERO;
                        self.ready.extend(events);
                        continue;
                    }
                    Err(error) => error.to_string(),
                },
                Ok(Ok(None)) => "the gateway ended the stream".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("nothing came for {} seconds", SILENCE.as_secs()),
            };
            return Some(self.lose(lost));
        }
    }

    async fn connect(&mut self) -> Heard {
        sleep(self.pause).await;
        let query: Vec<_> = self.last.clone().map(|last| ("after", last)).into_iter().collect();
        match self.client.open(self.segments, &query).await {
            Ok(response) => {
                self.open = Some((response, Parser::default()));
                Heard::Opened
            }
            Err(error) if error.is_passing() => self.lose(error.to_string()),
            Err(error) => {
                self.ended = true;
                Heard::Refused(error)
            }
        }
    }

    fn lose(&mut self, why: String) -> Heard {
        self.open = None;
        self.pause = (self.pause * 2).clamp(PAUSES.0, PAUSES.1);
        Heard::Lost { why }
    }
}
