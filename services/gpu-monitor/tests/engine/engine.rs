//! Real container engines: the one that tests share, and private ones that may be killed.

use bollard::query_parameters::{CreateImageOptions, RemoveContainerOptions};
use bollard::{API_DEFAULT_VERSION, Docker, body_full};
use futures::StreamExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

/// The image of the program in `tests/parts/service.rs`.
pub(crate) const IMAGE: &str = "gantry-test-service:1";

fn tests_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The last line that `get-docker.sh` prints.
async fn script(argument: Option<&str>) -> String {
    let mut command = Command::new(tests_dir().join("get-docker.sh"));
    command.args(argument).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "no container engine; see what tests/get-docker.sh says above");
    String::from_utf8(output.stdout).unwrap().lines().last().unwrap().to_owned()
}

/// A client of the shared engine, which has the test image.
pub(crate) async fn shared() -> (String, Docker) {
    static ADDRESS: OnceCell<String> = OnceCell::const_new();
    let address = ADDRESS
        .get_or_init(|| async {
            let address = script(None).await;
            import(&client(&address).await).await;
            address
        })
        .await
        .clone();
    let client = client(&address).await;
    (address, client)
}

pub(crate) async fn client(address: &str) -> Docker {
    let path = address.strip_prefix("unix://");
    let made = match path {
        Some(path) => Docker::connect_with_unix(path, 60, API_DEFAULT_VERSION),
        None => Docker::connect_with_http(address, 60, API_DEFAULT_VERSION),
    };
    made.unwrap().negotiate_version().await.unwrap()
}

async fn import(docker: &Docker) {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("service");
    let compiled = Command::new("rustc")
        .args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-o"])
        .arg(&program)
        .arg(tests_dir().join("parts/service.rs"))
        .status();
    assert!(compiled.await.unwrap().success(), "the test service does not compile");
    let (name, tag) = IMAGE.split_once(':').unwrap();
    let options = CreateImageOptions {
        from_src: Some("-".to_owned()),
        repo: Some(name.to_owned()),
        tag: Some(tag.to_owned()),
        changes: vec!["ENTRYPOINT [\"/service\"]".to_owned()],
        ..Default::default()
    };
    let archive = tar("service", &std::fs::read(&program).unwrap());
    let mut steps = std::pin::pin!(docker.create_image(Some(options), Some(body_full(archive.into())), None));
    while let Some(step) = steps.next().await {
        step.unwrap();
    }
}

/// An archive of one program, as POSIX ustar has it.
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000755\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(512) + 1_024, 0);
    archive
}

/// Removes a container when the test is over, however it ends.
pub(crate) struct Cleanup {
    pub(crate) address: String,
    pub(crate) container: String,
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        let (address, container) = (self.address.clone(), self.container.clone());
        let remove = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let options = RemoveContainerOptions { force: true, ..Default::default() };
                // It may be gone already.
                let _ = client(&address).await.remove_container(&container, Some(options)).await;
            });
        };
        let _ = std::thread::spawn(remove).join();
    }
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
        import(&client(&engine.address()).await).await;
        engine
    }

    pub(crate) fn address(&self) -> String {
        format!("unix://{}/docker.sock", self.dir.path().display())
    }

    /// Ends the engine, and with it its containers.
    pub(crate) async fn stop(&mut self) {
        let docker = client(&self.address()).await;
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
    let program = script(Some("dockerd")).await;
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
