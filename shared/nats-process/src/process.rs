//! The child process, and the watchdog that ends it when this process is gone.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

use crate::error::StartError;

// Reads until the gateway's end of the pipe closes, which the system does however the gateway ends, then ends the
// server: first politely, so that it closes its store, and after ten seconds for good.
const WATCHDOG: &str = "read -r _; kill -TERM \"$1\" 2>/dev/null || exit 0; i=0; \
     while [ $i -lt 100 ]; do kill -0 \"$1\" 2>/dev/null || exit 0; sleep 0.1; i=$((i+1)); done; kill -KILL \"$1\"";

/// A running server and its watchdog. Dropping it kills both.
#[derive(Debug)]
pub(crate) struct Running {
    pid: u32,
    child: Child,
    // Holds our end of the pipe. Declared after the child, so that it goes after it.
    watchdog: Child,
}

impl Running {
    /// Starts the program in a process group of its own: a Ctrl-C at the terminal is for the gateway, which stops its
    /// broker last.
    pub(crate) fn spawn(program: &Path, config: &Path) -> Result<Self, StartError> {
        let failed = |what: &Path| {
            let program = what.display().to_string();
            move |source| StartError::Spawn { program, source }
        };
        let mut server = Command::new(program);
        server.arg("--config").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = server.process_group(0).kill_on_drop(true).spawn().map_err(failed(program))?;
        let pid = child.id().unwrap_or_default();
        let mut watchdog = Command::new("/bin/sh");
        watchdog.args(["-c", WATCHDOG, "gantry-nats-watchdog"]).arg(pid.to_string());
        watchdog.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let watchdog = watchdog.process_group(0).kill_on_drop(true).spawn().map_err(failed(Path::new("/bin/sh")))?;
        Ok(Self { pid, child, watchdog })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until the server has ended by itself. Safe to drop while waiting.
    pub(crate) async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await;
        // The pid is free for others from here on: the watchdog must not signal it.
        self.dismiss_watchdog().await;
        status
    }

    /// Asks the server to end, and kills it when it has not after `within`.
    pub(crate) async fn stop(mut self, within: Duration) {
        signal(self.pid, Signal::TERM);
        if tokio::time::timeout(within, self.child.wait()).await.is_err() {
            tracing::warn!(pid = self.pid, "nats-server did not end within {within:?} and is killed");
        }
        self.kill().await;
    }

    /// Kills the server at once and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::debug!(pid = self.pid, %error, "nats-server had already ended");
        }
        self.dismiss_watchdog().await;
    }

    async fn dismiss_watchdog(&mut self) {
        if let Err(error) = self.watchdog.kill().await {
            tracing::debug!(%error, "the watchdog had already ended");
        }
    }
}

/// Sends a signal; a process that is already gone is no error.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let Some(target) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return;
    };
    if let Err(error) = rustix::process::kill_process(target, signal) {
        tracing::debug!(pid, %error, "signal not delivered");
    }
}

/// The command line of a running process, words separated by spaces; nothing when it is gone or a zombie.
pub(crate) fn command_line(pid: u32) -> Option<String> {
    let raw = if Path::new("/proc/self/cmdline").exists() {
        std::fs::read(format!("/proc/{pid}/cmdline")).ok()?
    } else {
        std::process::Command::new("ps").args(["-o", "args=", "-p", &pid.to_string()]).output().ok()?.stdout
    };
    let text = String::from_utf8_lossy(&raw).replace('\0', " ");
    (!text.trim().is_empty()).then_some(text)
}
