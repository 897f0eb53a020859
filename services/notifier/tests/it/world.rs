//! A broker, a notifier on it, and an ntfy server.

use bus::{Bus, BusOptions, Connection, connect};
use nats_process::Server;
use notifier::{Config, Parts};
use service::Tasks;
use service::config::{Environment, File, Flags, Reader};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;
use testkit::{SOON, until};
use tokio::process::{Child, Command};

/// A broker of its own.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) bus: Bus,
}

impl World {
    pub(crate) async fn new() -> Self {
        let server = Server::builder().start().await.unwrap();
        let bus = bus(&server.url()).await;
        Self { server, bus }
    }

    /// A notifier with these settings.
    pub(crate) fn notifier(&self, settings: &[(&str, &str)]) -> Tasks {
        notifier(self.bus.clone(), settings)
    }
}

pub(crate) async fn bus(url: &str) -> Bus {
    let connection = Connection { urls: vec![url.to_owned()], name: "test".to_owned(), ..Connection::default() };
    connect(&connection, BusOptions { shards: Some(1), replicas: 1 }).await.unwrap()
}

pub(crate) fn notifier(bus: Bus, settings: &[(&str, &str)]) -> Tasks {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut pairs = vec![
        ("GANTRY_NOTIFY_GROUP_WINDOW", "0"),
        ("GANTRY_NOTIFY_RETRY", "100ms,200ms"),
        ("GANTRY_NOTIFY_ALLOW_TARGETS", "127.0.0.1"),
    ];
    pairs.retain(|(name, _)| !settings.iter().any(|(other, _)| other == name));
    pairs.extend(settings);
    let environment = Environment::from_pairs(pairs);
    let config = Config::read(&mut Reader::new(Flags::default(), environment, File::default())).unwrap();
    let tasks = Tasks::new();
    notifier::spawn(Parts { bus, config }, &tasks).unwrap();
    tasks
}

pub(crate) async fn stop(tasks: Tasks) {
    let drained = tasks.stop(Duration::from_secs(10)).await;
    assert!(drained.aborted.is_empty(), "left behind: {drained:?}");
}

/// A real ntfy server.
pub(crate) struct Ntfy {
    pub(crate) url: String,
    _process: Child,
}

/// The program, found or fetched once.
pub(crate) fn program() -> &'static str {
    static FOUND: OnceLock<String> = OnceLock::new();
    FOUND.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/get-ntfy.sh");
        let found = std::process::Command::new(script).output().unwrap();
        assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
        String::from_utf8(found.stdout).unwrap().lines().last().unwrap().to_owned()
    })
}

impl Ntfy {
    pub(crate) async fn start(more: &[&str]) -> Self {
        let port = testkit::free_port();
        let address = format!("127.0.0.1:{port}");
        let process = Command::new(program())
            .args(["serve", "--config", "/dev/null", "--log-level", "error", "--listen-http", &address])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let url = format!("http://{address}");
        let client = client();
        until("the ntfy server to answer", SOON, async || {
            let answer = client.get(format!("{url}/v1/health")).send().await;
            answer.map(|_| ()).map_err(|error| error.to_string())
        })
        .await;
        Self { url, _process: process }
    }

    /// Everything that was pushed to the topic, oldest first.
    pub(crate) async fn pushed(&self, authorization: Option<&str>) -> Result<Vec<serde_json::Value>, String> {
        let mut request = client().get(format!("{}/gateway/json?poll=1", self.url));
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        if !status.is_success() {
            return Err(format!("{status}: {text}"));
        }
        Ok(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    /// Waits until so many were pushed.
    pub(crate) async fn after(&self, count: usize) -> Vec<serde_json::Value> {
        until(&format!("{count} pushes"), SOON, async || {
            let pushed = self.pushed(None).await?;
            if pushed.len() >= count { Ok(pushed) } else { Err(format!("{pushed:?}")) }
        })
        .await
    }
}

pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// Waits until something is a dead letter.
pub(crate) async fn dead_letter(bus: &Bus) -> domain::notices::DeadLetter {
    let notices = bus.notices();
    until("a dead letter", SOON, async || {
        let letters = notices.dead_letters(10).await.map_err(|error| error.to_string())?;
        letters.into_iter().next().ok_or_else(|| "none yet".to_owned())
    })
    .await
}
