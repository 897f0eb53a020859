//! Waiting until a server that was just started answers and has recovered its streams.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::config::Files;
use crate::error::StartError;
use crate::process::Running;

const LOOK_EVERY: Duration = Duration::from_millis(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const LOG_TAIL_BYTES: usize = 2_000;
const LOG_TAIL_LINES: usize = 6;

/// Waits for the ports file and then for a healthy answer; returns the address of the monitoring endpoint.
pub(crate) async fn wait(running: &mut Running, files: &Files, within: Duration) -> Result<String, StartError> {
    let pid = running.pid();
    let healthy = async {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        loop {
            tick.tick().await;
            if running.has_ended() {
                return Err(StartError::Ended { log: files.log(), tail: log_tail(&files.log()) });
            }
            let Some(monitoring) = monitoring_address(&files.ports(), pid) else {
                continue;
            };
            if is_healthy(&monitoring).await {
                return Ok(monitoring);
            }
        }
    };
    let deadline = tokio::time::timeout(within, healthy).await;
    deadline.unwrap_or_else(|_| Err(StartError::NotReady { waited: within, log: files.log() }))
}

// The file is named after the program and the pid, and may be seen half written: then it does not parse yet.
fn monitoring_address(dir: &Path, pid: u32) -> Option<String> {
    let ending = format!("_{pid}.ports");
    let mut entries = std::fs::read_dir(dir).ok()?.filter_map(Result::ok);
    let file = entries.find(|entry| entry.file_name().to_string_lossy().ends_with(&ending))?;
    let ports: serde_json::Value = serde_json::from_slice(&std::fs::read(file.path()).ok()?).ok()?;
    let url = ports.get("monitoring")?.get(0)?.as_str()?;
    Some(url.trim_start_matches("http://").to_owned())
}

async fn is_healthy(address: &str) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await.ok()?;
        let mut answer = Vec::new();
        stream.take(4_096).read_to_end(&mut answer).await.ok()?;
        let status_line = String::from_utf8_lossy(&answer).lines().next()?.to_owned();
        Some(status_line.split(' ').nth(1) == Some("200"))
    };
    matches!(tokio::time::timeout(ANSWER_WITHIN, ask).await, Ok(Some(true)))
}

fn log_tail(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let tail = String::from_utf8_lossy(&text[text.len().saturating_sub(LOG_TAIL_BYTES)..]).into_owned();
    let lines: Vec<&str> = tail.lines().rev().take(LOG_TAIL_LINES).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}
