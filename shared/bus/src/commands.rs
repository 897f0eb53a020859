//! The command log of a plane: accepted once, for ever, in one order.

use crate::batch::Stored;
use crate::message::TraceContext;
use crate::publish::{EXPECTED_LAST, EXPECTED_SUBJECT, Published};
use crate::{Bus, BusError, Inner, streams, subjects};
use async_nats::HeaderMap;
use domain::{Command, CommandId, Plane};
use std::sync::Arc;
use std::time::Duration;

/// Accepts and finds commands of one plane.
#[derive(Clone)]
pub struct CommandLog {
    inner: Arc<Inner>,
    plane: Plane,
}

/// The place of a command in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// From 1, without gaps.
    pub seq: u64,
    /// Whether a command of the same id was there before; `seq` is then that one's.
    pub duplicate: bool,
}

/// A command with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedCommand {
    /// From 1.
    pub seq: u64,
    /// The command.
    pub command: Command,
}

impl Bus {
    /// The command log of a plane.
    pub fn commands(&self, plane: &Plane) -> CommandLog {
        CommandLog { inner: self.inner.clone(), plane: plane.clone() }
    }
}

impl CommandLog {
    /// Accepts a command durably, or finds the one that was accepted under the same id before.
    pub async fn accept(&self, command: &Command, trace: &TraceContext) -> Result<Accepted, BusError> {
        let what = "a command";
        let body = serde_json::to_vec(command).map_err(|error| BusError::corrupt(what, error))?;
        let subject = subjects::command(&self.plane, command.command_id.as_str(), &command.run_id);
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED_LAST, "0");
        headers.insert(EXPECTED_SUBJECT, subjects::command_filter(&self.plane, command.command_id.as_str()));
        trace.write(&mut headers);
        let mut pause = Duration::from_millis(5);
        for _ in 0..8 {
            match self.inner.publish(what, subject.clone(), headers.clone(), body.clone().into()).await {
                Ok(Published::Stored { sequence, .. }) => return Ok(Accepted { seq: sequence, duplicate: false }),
                Ok(Published::Fenced { .. }) => return self.earlier(command).await,
                Ok(Published::Busy) => {}
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
        Err(BusError::unavailable(what, "no answer after several tries; send the same command_id again"))
    }

    /// The fence met something: another command of this id, or this very one whose first answer was lost.
    async fn earlier(&self, command: &Command) -> Result<Accepted, BusError> {
        let stream = streams::commands_name(&self.plane);
        let filter = subjects::command_filter(&self.plane, command.command_id.as_str());
        let stored = self.inner.last_at_leader(&stream, &filter).await?.ok_or_else(|| {
            BusError::unavailable("a command", "its place in the log is not known yet; send it again")
        })?;
        let found = parse(&stored)?;
        Ok(Accepted { seq: found.seq, duplicate: found.command != *command })
    }

    /// The command accepted under an id.
    pub async fn find(&self, id: &CommandId) -> Result<Option<LoggedCommand>, BusError> {
        let stream = streams::commands_name(&self.plane);
        let filter = subjects::command_filter(&self.plane, id.as_str());
        let Some(stored) = self.inner.last_matching(&stream, &filter).await? else { return Ok(None) };
        parse(&stored).map(Some)
    }
}

fn parse(stored: &Stored) -> Result<LoggedCommand, BusError> {
    let command =
        serde_json::from_slice(&stored.payload).map_err(|error| BusError::corrupt("the command log", error))?;
    Ok(LoggedCommand { seq: stored.sequence, command })
}
