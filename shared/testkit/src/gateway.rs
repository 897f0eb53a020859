//! The whole program, in one process or in several, in a directory of its own.

#![expect(clippy::expect_used, reason = "a test without its gateway has nothing to go on with")]

use crate::client::Client;
use crate::engine::Engine;
use crate::host;
use crate::model::FakeModel;
use crate::process::Process;
use crate::until::{SOON, until};
use nats_process::{Cluster, Server};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The token of every gateway that a test starts.
pub const TOKEN: &str = "a-token-of-the-tests-1";

/// A gateway that is not started yet.
#[derive(Debug, Default)]
pub struct Builder {
    runners: Option<usize>,
    cluster: bool,
    schedulers: usize,
    host: bool,
    model: Option<String>,
    env: Vec<(String, String)>,
}

/// The broker of a gateway in several processes.
#[derive(Debug)]
pub enum Broker {
    /// One server.
    Single(Box<Server>),
    /// Three of them.
    Cluster(Cluster),
}

impl Broker {
    fn urls(&self) -> Vec<String> {
        match self {
            Self::Single(server) => vec![server.url()],
            Self::Cluster(cluster) => cluster.urls(),
        }
    }
}

impl Builder {
    /// Each service in a process of its own, with so many runners and a broker apart. Otherwise one process is
    /// everything, the broker's child included.
    #[must_use]
    pub fn apart(mut self, runners: usize) -> Self {
        self.runners = Some(runners);
        self
    }

    /// Three brokers that hold three copies, instead of one. Only apart.
    #[must_use]
    pub fn cluster(mut self) -> Self {
        self.cluster = true;
        self
    }

    /// So many schedulers, each in a process of its own. Only apart.
    #[must_use]
    pub fn schedulers(mut self, count: usize) -> Self {
        self.schedulers = count;
        self
    }

    /// This machine is a GPU host: its containers are those of the engine, and it says that it has one GPU of
    /// [`GPU_MB`](crate::GPU_MB) which nobody uses. Apart, the agent is a process of its own.
    #[must_use]
    pub fn host(mut self, engine: &Engine) -> Self {
        self.host = true;
        self.env("GANTRY_DOCKER_HOST", engine.address())
    }

    /// Model calls end at this server.
    #[must_use]
    pub fn model(mut self, model: &FakeModel) -> Self {
        self.model = Some(model.url().to_owned());
        self
    }

    /// A variable for every process.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    pub async fn start(self) -> Gateway {
        let dir = tempfile::Builder::new().prefix("gantry-test-").tempdir().expect("a directory of its own");
        let mut env = self.environment(dir.path());
        let Some(runners) = self.runners else {
            let mut api = service("up", "up", &env, dir.path());
            let url = serve(&mut api).await;
            return Gateway {
                client: Client::new(&url, Some(TOKEN)),
                api,
                runners: Vec::new(),
                schedulers: Vec::new(),
                agent: None,
                proxy: None,
                broker: None,
                dir,
            };
        };
        let broker = broker(self.cluster).await;
        env.push(("GANTRY_NATS_URL".to_owned(), broker.urls().join(",")));
        if self.cluster {
            env.push(("GANTRY_DURABILITY".to_owned(), "cluster".to_owned()));
        }
        let proxy_port = host::free_port();
        env.push(("GANTRY_PROXY_PORT".to_owned(), proxy_port.to_string()));
        let mut proxy = service("proxy", "proxy", &env, dir.path());
        proxy.spawn();
        let mut api = service("api", "api", &env, dir.path());
        let url = serve(&mut api).await;
        let mut gateway = Gateway {
            client: Client::new(&url, Some(TOKEN)),
            api,
            runners: (0..runners).map(|n| service(&format!("runner-{n}"), "runner", &env, dir.path())).collect(),
            schedulers: (0..self.schedulers)
                .map(|n| service(&format!("scheduler-{n}"), "scheduler", &env, dir.path()))
                .collect(),
            agent: self.host.then(|| service("agent", "gpu-monitor", &env, dir.path())),
            proxy: Some(proxy),
            broker: Some(broker),
            dir,
        };
        let others = gateway.schedulers.iter_mut().chain(&mut gateway.agent);
        gateway.runners.iter_mut().chain(others).for_each(Process::spawn);
        for runner in &mut gateway.runners {
            runner.said("the runner takes runs").await;
        }
        listening(proxy_port).await;
        gateway
    }

    fn environment(&self, dir: &Path) -> Vec<(String, String)> {
        let own = [
            ("GANTRY_TOKEN", TOKEN.to_owned()),
            ("GANTRY_DATA_DIR", dir.join("data").display().to_string()),
            ("GANTRY_PORT", host::free_port().to_string()),
            ("GANTRY_LOG", "info".to_owned()),
            ("GANTRY_MODEL", "fake-model".to_owned()),
            // Tests measure what is promised, not how many clients a test may have.
            ("GANTRY_MAX_SSE", "256".to_owned()),
            ("GANTRY_MAX_CONCURRENCY", "256".to_owned()),
        ];
        let mut env: Vec<(String, String)> = own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if self.host {
            let recording = host::recording(dir).display().to_string();
            let shown = [("SOURCE", "recorded"), ("RECORDING", &recording), ("INTERVAL", "250ms"), ("RESERVE_MB", "0")];
            env.extend(shown.map(|(name, value)| (format!("GANTRY_GPU_{name}"), value.to_owned())));
        }
        env.extend(self.model.iter().map(|url| ("OPENAI_COMPATIBLE_BASE_URL".to_owned(), url.clone())));
        for (name, value) in &self.env {
            env.retain(|(known, _)| known != name);
            env.push((name.clone(), value.clone()));
        }
        env
    }
}

fn service(name: &str, command: &str, env: &[(String, String)], dir: &Path) -> Process {
    Process::new(name, vec![command.to_owned()], env.to_vec(), dir)
}

/// Starts a process that has an HTTP surface and answers with its address.
async fn serve(process: &mut Process) -> String {
    process.spawn();
    let line = process.said("gantry is ready at ").await;
    let (_, rest) = line.split_once("gantry is ready at ").expect("the line was found by these words");
    rest.split_whitespace().next().expect("an address follows").to_owned()
}

async fn broker(cluster: bool) -> Broker {
    if cluster {
        Broker::Cluster(Cluster::start(3).await.expect("three brokers start"))
    } else {
        Broker::Single(Box::new(Server::builder().start().await.expect("a broker starts")))
    }
}

async fn listening(port: u16) {
    until("the proxy to listen", SOON, async || {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.map(|_| ()).map_err(|error| error.to_string())
    })
    .await;
}

/// A running gateway. Its processes and its directory go with it.
#[derive(Debug)]
pub struct Gateway {
    /// A client with its token.
    pub client: Client,
    /// The process with the HTTP surface; the only one unless the services run apart.
    pub api: Process,
    /// The runners, when they run apart.
    pub runners: Vec<Process>,
    /// The schedulers that run apart.
    pub schedulers: Vec<Process>,
    /// The agent of this host, when it runs apart.
    pub agent: Option<Process>,
    /// The proxy, when it runs apart.
    pub proxy: Option<Process>,
    /// The broker, when it runs apart.
    pub broker: Option<Broker>,
    dir: TempDir,
}

impl Gateway {
    /// A gateway to configure.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The data directory of its processes.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Starts the process of the HTTP surface again, where it was, after it was ended.
    pub async fn restart_api(&mut self) {
        serve(&mut self.api).await;
    }

    /// Starts one more proxy beside those there are, with a client of its port that sends no key.
    pub async fn add_proxy(&self, name: &str) -> (Process, Client) {
        let port = host::free_port();
        let mut env = self.api.env().to_vec();
        env.retain(|(name, _)| name != "GANTRY_PROXY_PORT" && name != "GANTRY_PORT");
        let arguments = vec!["proxy".to_owned(), "--port".to_owned(), port.to_string()];
        let mut proxy = Process::new(name, arguments, env, self.dir.path());
        proxy.spawn();
        listening(port).await;
        (proxy, Client::new(&format!("http://127.0.0.1:{port}"), None))
    }

    /// Starts a runner again after it was ended.
    pub async fn restart_runner(&mut self, place: usize) {
        self.runners[place].spawn();
        self.runners[place].said("the runner takes runs").await;
    }

    /// Starts a scheduler again after it was ended, and does not wait for it.
    pub fn restart_scheduler(&mut self, place: usize) {
        self.schedulers[place].spawn();
    }

    /// Starts the agent again after it was ended, and does not wait for it.
    pub fn restart_agent(&mut self) {
        self.agent.as_mut().expect("the agent runs apart").spawn();
    }

    /// The only server of the broker.
    ///
    /// # Panics
    /// When there is none or several.
    pub fn single_broker(&mut self) -> &mut Server {
        match &mut self.broker {
            Some(Broker::Single(server)) => server,
            Some(Broker::Cluster(_)) | None => panic!("this gateway has no single broker apart"),
        }
    }

    /// The servers of the broker's cluster.
    ///
    /// # Panics
    /// When there is no cluster.
    pub fn cluster(&mut self) -> &mut Cluster {
        match &mut self.broker {
            Some(Broker::Cluster(cluster)) => cluster,
            Some(Broker::Single(_)) | None => panic!("this gateway's broker is no cluster"),
        }
    }
}
