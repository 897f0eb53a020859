//! The file of the audit log: appended in batches by one task, rotated by size, read from its end.

use super::audit::Entry;
use crate::config::AuditConfig;
use domain::Time;
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Entries written with one call.
const BATCH: usize = 256;

/// The end of the log.
#[derive(Debug, PartialEq, Eq)]
pub struct Tail {
    /// Bytes of content.
    pub bytes: usize,
    /// Whether the log is longer.
    pub truncated: bool,
    /// May begin in the middle of a line.
    pub content: String,
}

/// Where the log of a data directory lies.
pub fn audit_path(data_dir: &Path) -> PathBuf {
    data_dir.join("audit_log.jsonl")
}

/// Writes entries until every sender is gone. A failing disk is reported and retried with the next batch.
///
/// When the service stops, what was queued is still written.
pub async fn write_entries(
    path: PathBuf,
    config: AuditConfig,
    queue: &mut mpsc::Receiver<Entry>,
    stop: CancellationToken,
) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).await?;
    }
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            biased;
            received = queue.recv_many(&mut batch, BATCH) => if received == 0 { return Ok(()) },
            () = stop.cancelled(), if !queue.is_closed() => {
                queue.close();
                continue;
            }
        }
        let mut text = Vec::with_capacity(batch.len() * 512);
        for entry in batch.drain(..) {
            serde_json::to_writer(&mut text, &entry)?;
            text.push(b'\n');
        }
        if let Err(problem) = append(&path, &config, &text).await {
            tracing::error!(%problem, path = %path.display(), "audit entries could not be written");
        }
    }
}

async fn append(path: &Path, config: &AuditConfig, text: &[u8]) -> io::Result<()> {
    let mut file = open(path).await?;
    if file.metadata().await?.len() >= config.max_bytes {
        rotate(path, config.rotations).await?;
        file = open(path).await?;
    }
    file.write_all(text).await?;
    file.flush().await
}

async fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    options.mode(0o600);
    options.open(path).await
}

/// Moves the log aside as `audit_log.<time>.jsonl` and removes the oldest of those beyond the number kept.
async fn rotate(path: &Path, keep: usize) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let now: Time = jiff::Timestamp::now().into();
    fs::rename(path, directory.join(format!("audit_log.{:020}.jsonl", now.as_micros()))).await?;
    let mut rotated = Vec::new();
    let mut listing = fs::read_dir(directory).await?;
    while let Some(entry) = listing.next_entry().await? {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("audit_log.") && name.ends_with(".jsonl") && name != "audit_log.jsonl" {
            rotated.push(entry.path());
        }
    }
    rotated.sort();
    for path in rotated.iter().rev().skip(keep) {
        fs::remove_file(path).await?;
    }
    Ok(())
}

/// The last `max_bytes` of the log; empty when there is none yet.
pub async fn read_tail(path: &Path, max_bytes: u64) -> io::Result<Tail> {
    let mut file = match File::open(path).await {
        Ok(file) => file,
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => {
            return Ok(Tail { bytes: 0, truncated: false, content: String::new() });
        }
        Err(problem) => return Err(problem),
    };
    let length = file.metadata().await?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(max_bytes))).await?;
    let mut bytes = Vec::new();
    file.take(max_bytes).read_to_end(&mut bytes).await?;
    let content = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Tail { bytes: bytes.len(), truncated: length > max_bytes, content })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_log_is_moved_aside_and_only_so_many_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = audit_path(directory.path());
        let config = AuditConfig { max_bytes: 10, rotations: 2, ..AuditConfig::default() };
        for _ in 0..6 {
            append(&path, &config, b"{\"a\":\"0123456789\"}\n").await.unwrap();
        }
        let files = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(files, 3, "the log and two older ones");
        let tail = read_tail(&path, 5).await.unwrap();
        assert_eq!((tail.bytes, tail.truncated, tail.content.as_str()), (5, true, "89\"}\n"));
        assert_eq!(read_tail(&directory.path().join("none"), 5).await.unwrap().bytes, 0);
    }
}
