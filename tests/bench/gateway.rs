//! A gateway process to measure, with its broker.

use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

pub(crate) struct Gateway {
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) ready_after: Duration,
    pub(crate) child: Child,
    pub(crate) directory: TempDir,
}

impl Gateway {
    pub(crate) async fn start(durability: &str, shards: Option<u16>) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("gantry-bench").tempdir_in(base()?)?;
        let began = Instant::now();
        let mut command = Command::new(program()?);
        command
            .args(["up", "--port", "0", "--data-dir"])
            .arg(directory.path())
            .env("GANTRY_DURABILITY", durability)
            .env("GANTRY_MAX_CONCURRENCY", "4096")
            .env("GANTRY_MAX_SSE", "4096")
            // The service of the queue's figures is on this machine.
            .env("GANTRY_SERVICE_PRIVATE_ADDRESSES", "true")
            .env("GANTRY_LOG", "warn")
            .env("GANTRY_AUDIT_LOG", "0")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(shards) = shards {
            command.env("GANTRY_LEDGER_SHARDS", shards.to_string());
        }
        let mut child = command.spawn().context("starting gantry; build it with `cargo build -p gantry`")?;
        let stderr = child.stderr.take().context("no standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let url = loop {
            let Some(line) = lines.next_line().await? else { bail!("gantry ended before it was ready") };
            if let Some(rest) = line.strip_prefix("gantry is ready at ") {
                break rest.split_whitespace().next().unwrap_or_default().to_owned();
            }
        };
        let ready_after = began.elapsed();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                complain(&line)
            }
        });
        let token = std::fs::read_to_string(directory.path().join("auth/token"))?.trim().to_owned();
        Ok(Self { url, token, ready_after, child, directory })
    }

    /// Address and password of its broker.
    pub(crate) fn broker(&self) -> Result<(String, String)> {
        let auth = self.directory.path().join("auth");
        let read = |name: &str| std::fs::read_to_string(auth.join(name)).map(|text| text.trim().to_owned());
        Ok((read("nats.url")?, read("nats-gantry")?))
    }

    pub(crate) async fn stop(mut self) -> Result<()> {
        if let Some(pid) = self.child.id() {
            Command::new("kill").arg(pid.to_string()).status().await?;
        }
        tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await??;
        Ok(())
    }
}

#[expect(clippy::print_stderr, reason = "what the gateway complains about belongs in front of whoever measures")]
fn complain(line: &str) {
    if line.starts_with('{') {
        eprintln!("gantry: {line}");
    }
}

/// On the disk of the build, not on a temporary file system in memory, which would sync for nothing.
pub(crate) fn base() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    here.parent().map(PathBuf::from).context("the program has no directory")
}

pub(crate) fn program() -> Result<PathBuf> {
    let path = base()?.join("gantry");
    if !path.exists() {
        bail!("{} is missing; build it with `cargo build -p gantry`", path.display());
    }
    Ok(path)
}
