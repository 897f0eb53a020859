//! The real container engine that tests share, and images made for it without a registry.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test without its engine has nothing to go on with")]

mod llama;
mod service;

pub use llama::llama_arguments;
pub use service::service_image;

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptions, InspectContainerOptions, RemoveContainerOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker, body_full};
use futures::StreamExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// A container engine that answers.
#[derive(Debug, Clone)]
pub struct Engine {
    address: String,
    client: Docker,
}

impl Engine {
    /// The engine that all tests of this machine share. It has no network but the host's.
    ///
    /// # Panics
    /// When there is none and none can be started.
    pub async fn shared() -> Self {
        static ADDRESS: OnceCell<String> = OnceCell::const_new();
        let found = ADDRESS.get_or_init(async || script("services/gpu-monitor/tests/get-docker.sh", &[]).await).await;
        Self::at(found).await
    }

    /// The engine at `unix:///path` or `http://host:port`.
    ///
    /// # Panics
    /// When none answers there.
    pub async fn at(address: &str) -> Self {
        let made = match address.strip_prefix("unix://") {
            Some(path) => Docker::connect_with_unix(path, 60, API_DEFAULT_VERSION),
            None => Docker::connect_with_http(address, 60, API_DEFAULT_VERSION),
        };
        let client = made.expect("an engine's address").negotiate_version().await.expect("the engine answers");
        Self { address: address.to_owned(), client }
    }

    /// The path of the engine's program.
    pub async fn program() -> String {
        script("services/gpu-monitor/tests/get-docker.sh", &["dockerd"]).await
    }

    /// Where it is.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A client of it.
    pub fn client(&self) -> &Docker {
        &self.client
    }

    /// Sees to it that the engine has [`service_image`], and answers with its name.
    pub async fn with_service(&self) -> String {
        let name = service_image();
        if !self.has(&name).await {
            service::make(self, &name).await;
        }
        name
    }

    /// Sees to it that the engine has an image of llama.cpp's server with a tiny model of random weights, and answers
    /// with its name. It is run with [`llama_arguments`] and the host's network.
    ///
    /// # Panics
    /// When there is no such server, and none can be fetched.
    pub async fn with_llama(&self) -> String {
        llama::make(self).await
    }

    /// Makes and starts a container in the host's network, as a person would, and answers with the number of its
    /// process on this host.
    ///
    /// # Panics
    /// When the engine does not do it.
    pub async fn start_by_hand(&self, container: &str, image: &str, arguments: &[String]) -> u32 {
        let options = CreateContainerOptions { name: Some(container.to_owned()), ..Default::default() };
        let network = HostConfig { network_mode: Some("host".to_owned()), ..Default::default() };
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(arguments.to_vec()),
            host_config: Some(network),
            ..Default::default()
        };
        self.client.create_container(Some(options), body).await.expect("the container is made");
        self.client.start_container(container, None).await.expect("the container starts");
        let found = self.client.inspect_container(container, None::<InspectContainerOptions>).await.unwrap();
        let pid = found.state.and_then(|state| state.pid).expect("a running container has a process");
        u32::try_from(pid).unwrap()
    }

    /// Whether a container of that name runs.
    pub async fn is_running(&self, container: &str) -> bool {
        let found = self.client.inspect_container(container, None::<InspectContainerOptions>).await;
        found.is_ok_and(|found| found.state.and_then(|state| state.running) == Some(true))
    }

    /// Removes a container, running or not, when the value is dropped.
    #[must_use]
    pub fn cleanup(&self, container: &str) -> Cleanup {
        Cleanup { address: self.address.clone(), container: container.to_owned() }
    }

    async fn has(&self, image: &str) -> bool {
        self.client.inspect_image(image).await.is_ok()
    }

    /// Makes an image of the files in an archive. `changes` are lines such as `ENTRYPOINT ["/a"]`.
    async fn import(&self, image: &str, archive: Vec<u8>, changes: Vec<String>) {
        let (name, tag) = image.split_once(':').expect("an image's name has a tag");
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(name.to_owned()),
            tag: Some(tag.to_owned()),
            changes,
            ..Default::default()
        };
        let steps = self.client.create_image(Some(options), Some(body_full(archive.into())), None);
        let mut steps = std::pin::pin!(steps);
        while let Some(step) = steps.next().await {
            step.expect("the engine takes the image");
        }
    }
}

/// Removes a container when the test is over, however it ends.
#[derive(Debug)]
pub struct Cleanup {
    /// Where the engine is.
    pub address: String,
    /// Its name.
    pub container: String,
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        let (address, container) = (self.address.clone(), self.container.clone());
        let remove = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let options = RemoveContainerOptions { force: true, ..Default::default() };
                // It may be gone already.
                let _ = Engine::at(&address).await.client.remove_container(&container, Some(options)).await;
            });
        };
        let _ = std::thread::spawn(remove).join();
    }
}

/// The workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The last line that one of the scripts prints that find or fetch real parts.
async fn script(path: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(root().join(path));
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{path} found nothing; what it says stands above");
    String::from_utf8(output.stdout).unwrap().lines().last().unwrap_or_default().to_owned()
}

/// An archive as `tar` makes it with these arguments.
async fn archive(arguments: &[String]) -> Vec<u8> {
    let mut command = Command::new("tar");
    command.args(["--create", "--file", "-", "--owner=0", "--group=0"]).args(arguments);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().await.expect("tar runs");
    assert!(output.status.success(), "tar {arguments:?} failed");
    output.stdout
}

/// A tag that is another when what the image is made of is another.
fn tag_of(parts: impl std::hash::Hash) -> String {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
