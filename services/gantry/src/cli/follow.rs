//! A run's ledger as it grows: every record once and in order, over connections that may drop.

use super::sse::{Event, Parser};
use super::{Client, RequestError, Trouble, short};
use futures::Stream;
use reqwest::Response;
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Duration;

/// The gateway sends a sign of life at least this often.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Silence for so long means that the connection is dead, even if nobody said so.
const SILENCE: Duration = Duration::from_secs(20);
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// Failures in a row after which the follower gives up: about five minutes.
const MOST_FAILURES: u32 = 60;

/// What happens to a ledger that is followed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Followed {
    /// A record.
    Record {
        /// Its place, from 1.
        cursor: u64,
        /// The record.
        record: Value,
    },
    /// The connection was lost; it is made again.
    Lost {
        /// Why.
        why: String,
    },
    /// The run has ended and every record was seen.
    Done,
}

/// Follows a run's ledger after a cursor until the run has ended.
pub(super) fn follow(client: Client, run: String, after: u64) -> impl Stream<Item = Result<Followed, Trouble>> {
    let follower = Follower { client, run, cursor: after, open: None, failures: 0, has_ended: false };
    futures::stream::unfold(follower, |mut follower| async move {
        if follower.has_ended {
            return None;
        }
        let next = follower.next().await;
        follower.has_ended = matches!(next, Ok(Followed::Done) | Err(_));
        Some((next, follower))
    })
}

struct Follower {
    client: Client,
    run: String,
    cursor: u64,
    open: Option<Open>,
    failures: u32,
    has_ended: bool,
}

struct Open {
    response: Response,
    parser: Parser,
    events: VecDeque<Event>,
}

impl Follower {
    async fn next(&mut self) -> Result<Followed, Trouble> {
        loop {
            let Some(open) = &mut self.open else {
                self.connect().await?;
                continue;
            };
            let step = match open.events.pop_front() {
                Some(event) => take(&event, &mut self.cursor),
                None => open.receive().await.map(|()| {
                    self.failures = 0;
                    None
                }),
            };
            match step {
                Ok(Some(followed)) => return Ok(followed),
                Ok(None) => {}
                Err(why) => {
                    self.open = None;
                    self.failures += 1;
                    if self.failures == 1 {
                        return Ok(Followed::Lost { why });
                    }
                }
            }
        }
    }

    /// Opens the stream behind the last record seen. Waits first if that has just failed.
    async fn connect(&mut self) -> Result<(), Trouble> {
        if self.failures > 0 {
            tokio::time::sleep(delay(self.failures)).await;
        }
        let query = [("after", self.cursor.to_string()), ("heartbeat_s", HEARTBEAT.as_secs().to_string())];
        match self.client.open(&["runs", &self.run, "ledger", "stream"], &query).await {
            Ok(response) => {
                self.open = Some(Open { response, parser: Parser::default(), events: VecDeque::new() });
                Ok(())
            }
            Err(error) if may_pass(&error, self.failures, self.cursor) => {
                self.failures += 1;
                Ok(())
            }
            Err(error) => Err(error.trouble(format!("cannot follow run {}", short(&self.run, 40)))),
        }
    }
}

impl Open {
    async fn receive(&mut self) -> Result<(), String> {
        match tokio::time::timeout(SILENCE, self.response.chunk()).await {
            Ok(Ok(Some(bytes))) => {
                self.events.extend(self.parser.push(&bytes).map_err(|error| error.to_string())?);
                Ok(())
            }
            Ok(Ok(None)) => Err("the gateway closed the stream".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no sign of life for {} s", SILENCE.as_secs())),
        }
    }
}

/// A gateway that was never reached is a mistake to report at once; one that was reached may come back.
fn may_pass(error: &RequestError, failures: u32, cursor: u64) -> bool {
    let was_reached = failures > 0 || cursor > 0 || error.status() == Some(429);
    error.is_passing() && was_reached && failures < MOST_FAILURES
}

fn delay(failures: u32) -> Duration {
    FIRST_DELAY.saturating_mul(1 << failures.min(8).saturating_sub(1)).min(LONGEST_DELAY)
}

/// Takes an event. A record seen before is passed over; a gap means that the stream must be opened again.
fn take(event: &Event, cursor: &mut u64) -> Result<Option<Followed>, String> {
    match event.kind.as_str() {
        "step" => {
            let mut data: Value = serde_json::from_str(&event.data).map_err(|error| error.to_string())?;
            let place = data["cursor"].as_u64().ok_or("a record came without its cursor")?;
            if place <= *cursor {
                return Ok(None);
            }
            if place != *cursor + 1 {
                return Err(format!("record {place} came after record {cursor}"));
            }
            *cursor = place;
            Ok(Some(Followed::Record { cursor: place, record: data["record"].take() }))
        }
        "done" => Ok(Some(Followed::Done)),
        // Kinds that a later gateway may add.
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(place: u64) -> Event {
        let data = format!("{{\"cursor\": {place}, \"record\": {{}}}}");
        Event { kind: "step".to_owned(), data, id: None }
    }

    #[test]
    fn a_record_seen_before_is_passed_over_and_a_gap_is_an_error() {
        let mut cursor = 3;
        assert_eq!(take(&step(3), &mut cursor), Ok(None));
        assert!(matches!(take(&step(4), &mut cursor), Ok(Some(Followed::Record { cursor: 4, .. }))));
        assert!(take(&step(6), &mut cursor).is_err());
        assert_eq!(cursor, 4);
    }

    #[test]
    fn the_delay_grows_to_a_bound() {
        assert_eq!(delay(1), FIRST_DELAY);
        assert_eq!(delay(2), FIRST_DELAY * 2);
        assert_eq!(delay(u32::MAX), LONGEST_DELAY);
    }
}
