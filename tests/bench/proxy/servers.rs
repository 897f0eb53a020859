//! The proxies that are measured, each a process of its own: ours, vllm-router, and nginx as the floor.

use super::client::KEY;
use crate::{gateway, processes};
use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::{Child, Command};

pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    child: Child,
    _directory: TempDir,
}

/// Name and path of the peers that are installed.
pub(super) async fn peers() -> Result<Vec<(String, String)>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/get-peers.sh");
    let said = Command::new(script).stderr(Stdio::inherit()).output().await?;
    let lines = String::from_utf8(said.stdout)?;
    Ok(lines.lines().filter_map(|line| line.split_once(' ')).map(|(name, path)| (name.into(), path.into())).collect())
}

impl Server {
    /// Ours, with keys, limits and metrics on.
    pub(super) async fn gantry(upstream: SocketAddr) -> Result<Self> {
        let mut command = Command::new(gateway::program()?);
        let (directory, address) = (tempfile::tempdir()?, free()?);
        command
            .args(["proxy", "--data-dir"])
            .arg(directory.path())
            .env("GANTRY_PROXY_PORT", address.port().to_string())
            .env("BACKEND_KIND", "vllm")
            .env("BACKEND_BASE_URL", format!("http://{upstream}/v1"))
            .env("API_KEYS", KEY)
            .env("RATE_LIMIT_ENABLED", "true")
            .env("RATE_LIMIT_RPM", "100000000")
            .env("RATE_LIMIT_BURST", "100000000")
            .env("GANTRY_LOG", "warn");
        Self::start("gantry", command, address, directory).await
    }

    pub(super) async fn vllm_router(program: &str, upstream: SocketAddr) -> Result<Self> {
        let mut command = Command::new(program);
        let (directory, address) = (tempfile::tempdir()?, free()?);
        command
            .args(["--worker-urls", &format!("http://{upstream}"), "--host", "127.0.0.1"])
            .args(["--port", &address.port().to_string(), "--prometheus-port", &free()?.port().to_string()])
            .args(["--policy", "round_robin", "--log-level", "warning"]);
        Self::start("vllm-router", command, address, directory).await
    }

    pub(super) async fn nginx(program: &str, upstream: SocketAddr) -> Result<Self> {
        let (directory, address) = (tempfile::tempdir()?, free()?);
        let config = directory.path().join("nginx.conf");
        std::fs::write(
            &config,
            format!(
                "daemon off; worker_processes 2; pid nginx.pid; error_log stderr crit;\nevents {{ worker_connections 8192; }}\n\
                 http {{ access_log off; client_max_body_size 32m; client_body_buffer_size 256k; client_body_temp_path b;\n\
                 proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s; keepalive_requests 1000000000;\n\
                 upstream model {{ server {upstream}; keepalive 256; keepalive_requests 1000000000; }}\n\
                 server {{ listen {address}; location / {{ proxy_pass http://model; proxy_http_version 1.1;\n\
                 proxy_set_header Connection ''; proxy_buffering off; }} }} }}\n"
            ),
        )?;
        let mut command = Command::new(program);
        command.arg("-p").arg(directory.path()).arg("-c").arg(&config);
        Self::start("nginx", command, address, directory).await
    }

    async fn start(name: &'static str, mut command: Command, address: SocketAddr, directory: TempDir) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("starting {name}"))?;
        let began = Instant::now();
        let body = super::client::request(r#"{"model":"m","messages":[]}"#);
        while super::client::load(address, &body, 1, Duration::ZERO).await.is_err()
            || super::client::load(address, &body, 1, Duration::from_millis(1)).await.is_err()
        {
            if let Some(status) = child.try_wait()? {
                bail!("{name} ended at its start: {status}");
            }
            if began.elapsed() > Duration::from_secs(30) {
                bail!("{name} does not answer on {address}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Self { name, address, child, _directory: directory })
    }

    /// Processor time so far in seconds, and resident memory in bytes, its children's with it.
    pub(super) fn spent(&self) -> (f64, f64) {
        let family: Vec<u32> = self.child.id().into_iter().flat_map(processes::family).collect();
        let memory = family.iter().map(|pid| processes::resident_mb(*pid) * 1024.0 * 1024.0).sum();
        (family.into_iter().map(processes::processor_seconds).sum(), memory)
    }

    pub(super) async fn stop(mut self) -> Result<()> {
        if let Some(pid) = self.child.id() {
            Command::new("kill").arg(pid.to_string()).status().await?;
        }
        if tokio::time::timeout(Duration::from_secs(5), self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }
}

fn free() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
