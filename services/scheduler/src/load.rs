//! The state from the stream: the last snapshot and the steps behind it; and new snapshots.

use crate::board::Saved;
use crate::error::SchedulerError;
use crate::step::Step;
use bus::Bus;
use bus::control::SnapshotMark;

/// The state, and the position of the last step in it.
pub(crate) async fn load(bus: &Bus) -> Result<(Saved, u64), SchedulerError> {
    let log = bus.control_log();
    let (mut saved, mut last) = match log.snapshot_mark().await? {
        None => (Saved::default(), 0),
        Some(mark) => (read_snapshot(bus, &mark).await?, mark.sequence),
    };
    loop {
        let (steps, more) = log.read(last).await?;
        for message in &steps {
            let step: Step = serde_json::from_slice(&message.body)
                .map_err(|error| unreadable(&format!("step {}", message.sequence), &error))?;
            saved.apply(&step);
            last = message.sequence;
        }
        if !more || steps.is_empty() {
            return Ok((saved, last));
        }
    }
}

async fn read_snapshot(bus: &Bus, mark: &SnapshotMark) -> Result<Saved, SchedulerError> {
    let what = format!("the snapshot '{}'", mark.blob);
    let bytes = bus.blobs().get(&mark.blob).await?.ok_or_else(|| SchedulerError::Unreadable {
        what: what.clone(),
        cause: "it is not in the blob store".to_owned(),
    })?;
    serde_json::from_slice(&bytes).map_err(|error| unreadable(&what, &error))
}

fn unreadable(what: &str, error: &serde_json::Error) -> SchedulerError {
    SchedulerError::Unreadable { what: what.to_owned(), cause: error.to_string() }
}

/// Stores a snapshot, says where it is, and only then deletes the one before.
pub(crate) async fn store_snapshot(bus: &Bus, saved: &Saved, sequence: u64) -> Result<(), SchedulerError> {
    let before = bus.control_log().snapshot_mark().await?;
    let blob = format!("control-snapshot-{sequence}");
    let bytes = serde_json::to_vec(saved).map_err(|error| unreadable("the snapshot", &error))?;
    bus.blobs().put(&blob, &bytes).await?;
    bus.control_log().mark_snapshot(&SnapshotMark { sequence, blob: blob.clone() }).await?;
    match before {
        Some(before) if before.blob != blob => Ok(bus.blobs().remove(&before.blob).await?),
        Some(_) | None => Ok(()),
    }
}
