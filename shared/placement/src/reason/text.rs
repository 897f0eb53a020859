//! The same reasons as sentences for people.

use super::{Frees, Reason, RoomHolder, SlotHolder};
use crate::{ServiceName, ServiceType};
use std::fmt;

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoService { service_type, pinned, disabled } => {
                no_service(f, service_type, pinned.as_ref(), disabled)
            }
            Self::NoNode => f.write_str("no GPU host is connected"),
            Self::BackingOff { until, failures, max_attempts } => {
                write!(f, "attempt {failures} of {max_attempts} failed; the next is due at {until}")
            }
            Self::PausedFor { job: Some(job) } => write!(f, "made way for the more urgent job {job}"),
            Self::PausedFor { job: None } => f.write_str("paused by a person; release it to go on"),
            Self::SlotsBusy { slots, holders } => slots_busy(f, *slots, holders),
            Self::Starting { service, for_ms, typical_ms } => write!(
                f,
                "{service} has been starting for {:.1} s; that usually takes {:.1} s",
                seconds(*for_ms),
                seconds(*typical_ms)
            ),
            Self::Unhealthy { service, for_ms } => {
                write!(f, "{service} has not answered its health check for {:.1} s", seconds(*for_ms))
            }
            Self::Stopping { service, jobs: 0 } => write!(f, "{service} is stopping; it can be started again after"),
            Self::Stopping { service, jobs } => write!(f, "{service} finishes {jobs} jobs and then stops"),
            Self::StartFailed { service, failures, retry_at, error } => {
                write!(f, "{service} failed to start {failures} times ({error}); it is tried again at {retry_at}")
            }
            Self::NodeLost { service, node: Some(node) } => write!(f, "{service} is on node {node}, which is silent"),
            Self::NodeLost { service, node: None } => write!(f, "every node that may run {service} is silent"),
            Self::GpusUnread { service, node } => write!(
                f,
                "{service} needs a GPU, and those of node {node} cannot be read yet; its agent's log and `gantry gpu` say why"
            ),
            Self::NoRoom { .. } => self.write_no_room(f),
        }
    }
}

impl Reason {
    fn write_no_room(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::NoRoom { service, need_mb, gpus, device, capacity_mb, free_mb, foreign_mb, holders, frees } = self
        else {
            return Ok(());
        };
        write!(f, "{service} needs {need_mb} MB on {gpus} GPU(s)")?;
        if let Some(device) = device {
            write!(f, "; {device} has {free_mb} of {capacity_mb} MB free")?;
        }
        for RoomHolder { service, mb, jobs, .. } in holders {
            write!(f, "; {service} holds {mb} MB with {jobs} jobs")?;
        }
        if *foreign_mb > 0 {
            write!(f, "; other programs hold {foreign_mb} MB")?;
        }
        match frees {
            Frees::Release { services } => write!(f, "; being freed by {}", list(services)),
            Frees::Quiet => f.write_str("; waiting for its measured memory to become quiet"),
            Frees::JobsEnd { services, or_from: None } => write!(f, "; free when {} finishes its jobs", list(services)),
            Frees::JobsEnd { services, or_from: Some(from) } => {
                write!(f, "; free when {} finishes its jobs, which it may be told to from {from} on", list(services))
            }
            Frees::Others => f.write_str("; only what Gantry did not start could free more"),
            Frees::Nothing => f.write_str("; no connected GPU has that much"),
        }
    }
}

fn list(names: &[ServiceName]) -> String {
    names.iter().map(ServiceName::as_str).collect::<Vec<_>>().join(", ")
}

#[expect(clippy::cast_precision_loss, reason = "for people, to a tenth of a second")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

fn no_service(
    f: &mut fmt::Formatter<'_>,
    kind: &ServiceType,
    pinned: Option<&ServiceName>,
    disabled: &[ServiceName],
) -> fmt::Result {
    match pinned {
        Some(pin) => write!(f, "no enabled service '{pin}' of type '{kind}' is registered")?,
        None => write!(f, "no enabled service of type '{kind}' is registered")?,
    }
    if disabled.is_empty() { Ok(()) } else { write!(f, "; disabled: {}", list(disabled)) }
}

fn slots_busy(f: &mut fmt::Formatter<'_>, slots: usize, holders: &[SlotHolder]) -> fmt::Result {
    match slots {
        1 => f.write_str("the only slot is taken")?,
        _ => write!(f, "all {slots} slots are taken")?,
    }
    holders.iter().try_for_each(|one| {
        let SlotHolder { job, service, priority, for_ms, interrupted } = one;
        let going = if *interrupted { ", being stopped" } else { "" };
        write!(f, "; {job} (P{priority}) on {service} for {:.1} s{going}", seconds(*for_ms))
    })
}
