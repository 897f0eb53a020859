//! Real container engines: the one that tests share, and private ones that may be killed.

use bollard::{API_DEFAULT_VERSION, Docker};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use testkit::Engine;
use tokio::process::{Child, Command};

pub(crate) use testkit::Cleanup;

/// Address and client of the shared engine, which has the test image.
pub(crate) async fn shared() -> (String, Docker) {
    let engine = Engine::shared().await;
    engine.with_service().await;
    (engine.address().to_owned(), engine.client().clone())
}

/// An engine of a test's own, in a directory of its own.
pub(crate) struct Private {
    dir: tempfile::TempDir,
    child: Child,
}

impl Private {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let child = launch(dir.path()).await;
        let engine = Self { dir, child };
        engine.answers().await;
        Engine::at(&engine.address()).await.with_service().await;
        engine
    }

    pub(crate) fn address(&self) -> String {
        format!("unix://{}/docker.sock", self.dir.path().display())
    }

    /// Ends the engine, and with it its containers.
    pub(crate) async fn stop(&mut self) {
        let docker = Engine::at(&self.address()).await.client().clone();
        let mut pids = Vec::new();
        for container in docker.list_containers(None).await.unwrap() {
            let state = docker.inspect_container(&container.id.unwrap(), None).await.unwrap().state.unwrap();
            pids.push(state.pid.unwrap().to_string());
        }
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        // The engine waits ten seconds for containers that ignore it; this is no test of its patience.
        for pid in pids {
            assert!(Command::new("kill").args(["-KILL", &pid]).status().await.unwrap().success());
        }
        tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await.expect("dockerd does not end").unwrap();
    }

    pub(crate) async fn start_again(&mut self) {
        self.child = launch(self.dir.path()).await;
        self.answers().await;
    }

    async fn answers(&self) {
        let ready = async {
            loop {
                let path = self.dir.path().join("docker.sock");
                if let Ok(docker) = Docker::connect_with_unix(path.to_str().unwrap(), 5, API_DEFAULT_VERSION)
                    && docker.ping().await.is_ok()
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let log = self.dir.path().join("dockerd.log");
        tokio::time::timeout(Duration::from_secs(30), ready).await.unwrap_or_else(|_| {
            panic!("dockerd does not answer:\n{}", std::fs::read_to_string(log).unwrap_or_default())
        });
    }
}

async fn launch(dir: &Path) -> Child {
    let program = Engine::program().await;
    let log = std::fs::File::create(dir.join("dockerd.log")).unwrap();
    Command::new(program)
        .arg("--host")
        .arg(format!("unix://{}/docker.sock", dir.display()))
        .args(["--storage-driver", "vfs", "--iptables=false", "--bridge=none", "--shutdown-timeout=2"])
        .arg("--data-root")
        .arg(dir.join("data"))
        .arg("--exec-root")
        .arg(dir.join("exec"))
        .arg("--pidfile")
        .arg(dir.join("dockerd.pid"))
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

impl Drop for Private {
    fn drop(&mut self) {
        // The engine ends its containers and its own helpers only when it is asked to.
        if let Some(pid) = self.child.id() {
            let _ = std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status();
            let deadline = std::time::Instant::now() + Duration::from_secs(20);
            while matches!(self.child.try_wait(), Ok(None)) && std::time::Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}
