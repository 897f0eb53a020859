//! A client that follows a ledger to its end over any number of broken connections.

use crate::client::Client;
use crate::stream::Event;
use crate::until::{SOON, until};
use serde_json::Value;

/// What such a client saw.
#[derive(Debug, Default)]
pub struct Follower {
    /// The records, each once and in order.
    pub records: Vec<Value>,
    /// How often it had to connect.
    pub connections: usize,
}

impl Client {
    /// Follows a run until `done`. A record that came twice, in the wrong place or not at all is a panic. Reconnects
    /// with `after` and with `Last-Event-ID` in turn.
    pub async fn follow(&self, run: &str) -> Follower {
        let mut seen = Follower::default();
        until(&format!("the end of the stream of {run}"), 3 * SOON, async || self.follow_once(run, &mut seen).await)
            .await;
        seen
    }

    async fn follow_once(&self, run: &str, seen: &mut Follower) -> Result<(), String> {
        let cursor = seen.records.len() as u64;
        seen.connections += 1;
        let by_header = seen.connections.is_multiple_of(2);
        let query = if by_header { "heartbeat_s=1".to_owned() } else { format!("after={cursor}&heartbeat_s=1") };
        let mut stream = self.stream(run, &query, by_header.then_some(cursor)).await?;
        while let Some(event) = stream.next().await? {
            match event {
                Event::Comment(_) => {}
                Event::Step { id, mut data } => {
                    let place = seen.records.len() as u64 + 1;
                    assert_eq!((id, data["cursor"].as_u64()), (place, Some(place)), "run {run}: a gap or a double");
                    seen.records.push(data["record"].take());
                }
                Event::Named { name, data } => {
                    assert_eq!((name.as_str(), data["cursor"].as_u64()), ("done", Some(seen.records.len() as u64)));
                    return Ok(());
                }
            }
        }
        Err(format!("closed after {} records", seen.records.len()))
    }
}
