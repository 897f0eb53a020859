//! The server's files and configuration, rendered from `nats/embedded.conf`.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::StartError;

const TEMPLATE: &str = include_str!("../../../nats/embedded.conf");

/// How soon an acknowledged write is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncInterval {
    /// Before the acknowledgement; a power cut loses nothing acknowledged.
    Always,
    /// Every so often (whole milliseconds); a power cut loses at most about that much, a killed process nothing.
    Every(Duration),
}

/// A server's place in a cluster on one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The cluster's name, the same on every member.
    pub cluster: String,
    /// This member's route port.
    pub route_port: u16,
    /// The route ports of all members.
    pub route_ports: Vec<u16>,
}

/// Everything that decides a server's configuration file, apart from its port.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) server_name: String,
    pub(crate) sync_interval: SyncInterval,
    pub(crate) member: Option<Member>,
    pub(crate) accounts: String,
}

/// Where a server's files lie, all in one directory.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    dir: PathBuf,
}

impl Files {
    /// Makes the directory, and makes its path absolute.
    pub(crate) fn create(dir: &Path) -> Result<Self, StartError> {
        std::fs::create_dir_all(dir).map_err(StartError::file("create", dir))?;
        let dir = dir.canonicalize().map_err(StartError::file("resolve", dir))?;
        let clean = |text: &str| !text.chars().any(|c| c.is_control() || c == '"' || c == '\\');
        if !dir.to_str().is_some_and(clean) {
            return Err(StartError::BadPath { path: dir });
        }
        Ok(Self { dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.join("server.conf")
    }

    pub(crate) fn pid(&self) -> PathBuf {
        self.dir.join("server.pid")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    pub(crate) fn ports(&self) -> PathBuf {
        self.dir.join("ports")
    }

    /// Writes the configuration, readable by its owner alone because it may hold passwords, and an empty ports directory.
    pub(crate) fn write(&self, settings: &Settings, port: u16) -> Result<(), StartError> {
        let ports = self.ports();
        if ports.exists() {
            std::fs::remove_dir_all(&ports).map_err(StartError::file("empty", &ports))?;
        }
        std::fs::create_dir_all(&ports).map_err(StartError::file("create", &ports))?;
        let path = self.config();
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&path).map_err(StartError::file("write", &path))?;
        let text = render(settings, &self.dir.to_string_lossy(), port);
        file.write_all(text.as_bytes()).map_err(StartError::file("write", &path))
    }
}

fn render(settings: &Settings, dir: &str, port: u16) -> String {
    let sync = match settings.sync_interval {
        SyncInterval::Always => "always".to_owned(),
        SyncInterval::Every(interval) => format!("\"{}ms\"", interval.as_millis().max(1)),
    };
    let cluster = settings.member.as_ref().map(cluster_block).unwrap_or_default();
    TEMPLATE
        .replace("@server_name@", &settings.server_name)
        .replace("@port@", &port.to_string())
        .replace("@sync_interval@", &sync)
        .replace("@cluster@", &cluster)
        .replace("@accounts@", &settings.accounts)
        .replace("@dir@", dir)
}

fn cluster_block(member: &Member) -> String {
    let others = member.route_ports.iter().filter(|port| **port != member.route_port);
    let routes: Vec<String> = others.map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
    format!(
        "cluster {{\n  name: \"{}\"\n  listen: \"127.0.0.1:{}\"\n  routes: [{}]\n}}",
        member.cluster,
        member.route_port,
        routes.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(sync_interval: SyncInterval, member: Option<Member>) -> Settings {
        Settings { server_name: "one".into(), sync_interval, member, accounts: String::new() }
    }

    #[test]
    fn every_name_in_the_template_is_filled_in() {
        let member = Member { cluster: "c".into(), route_port: 2, route_ports: vec![1, 2, 3] };
        let text = render(&settings(SyncInterval::Always, Some(member)), "/data", 4222);
        let settings_only: String = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(!settings_only.contains('@'), "{text}");
        assert!(text.contains("routes: [\"nats://127.0.0.1:1\", \"nats://127.0.0.1:3\"]"), "{text}");
        assert!(text.contains("sync_interval: always"), "{text}");
    }

    #[test]
    fn an_interval_is_written_in_milliseconds() {
        let text = render(&settings(SyncInterval::Every(Duration::from_secs(1)), None), "/data", 1);
        assert!(text.contains("sync_interval: \"1000ms\""), "{text}");
    }

    #[test]
    fn a_store_path_that_would_break_the_configuration_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = Files::create(&dir.path().join("a\"b")).unwrap_err();
        assert!(matches!(error, StartError::BadPath { .. }), "{error}");
    }
}
