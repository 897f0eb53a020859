//! One server: built, started, stopped, killed and restarted on the same port and store.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::binary::{Binary, Search, Version};
use crate::config::{Files, Member, Settings, SyncInterval};
use crate::error::StartError;
use crate::lock::{DirectoryLock, end_left_over};
use crate::process::{self, Running};
use crate::{ports, ready};

const STOP_WITHIN: Duration = Duration::from_secs(10);
const PORT_TRIES: u32 = 5;

/// Settings of a server that is not started yet.
#[derive(Debug, Clone)]
pub struct Builder {
    dir: Option<PathBuf>,
    port: u16,
    search: Search,
    binary: Option<Binary>,
    ready_within: Duration,
    settings: Settings,
}

impl Default for Builder {
    fn default() -> Self {
        let sync_interval = SyncInterval::Always;
        let settings =
            Settings { server_name: "gantry".to_owned(), sync_interval, member: None, accounts: String::new() };
        let ready_within = Duration::from_secs(60);
        Self { dir: None, port: 0, search: Search::default(), binary: None, ready_within, settings }
    }
}

impl Builder {
    /// The directory that holds streams, log and pid file. Without it, a temporary one that goes with the server.
    #[must_use]
    pub fn store_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// When acknowledged writes reach the disk; [`SyncInterval::Always`] if not said.
    #[must_use]
    pub fn durability(mut self, sync_interval: SyncInterval) -> Self {
        self.settings.sync_interval = sync_interval;
        self
    }

    /// The client port on 127.0.0.1; 0 takes a free one and keeps it over restarts.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Where to look for the program.
    #[must_use]
    pub fn search(mut self, search: Search) -> Self {
        self.search = search;
        self
    }

    /// A program found before, so that several servers look only once.
    #[must_use]
    pub fn binary(mut self, binary: Binary) -> Self {
        self.binary = Some(binary);
        self
    }

    /// The server's name: a word without spaces, unique in a cluster.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.settings.server_name = name.into();
        self
    }

    /// Makes the server a member of a cluster.
    #[must_use]
    pub fn cluster(mut self, member: Member) -> Self {
        self.settings.member = Some(member);
        self
    }

    /// Users and permissions in the server's own configuration language, as in `nats/accounts.conf`.
    #[must_use]
    pub fn accounts(mut self, text: impl Into<String>) -> Self {
        self.settings.accounts = text.into();
        self
    }

    /// How long a start may take, recovery of a large store included; 60 seconds if not said.
    #[must_use]
    pub fn ready_within(mut self, deadline: Duration) -> Self {
        self.ready_within = deadline;
        self
    }

    /// Starts the server and waits until it answers and has recovered its streams.
    ///
    /// # Errors
    /// No program, a store in use, or a server that ends or does not become ready; each says what to do.
    pub async fn start(self) -> Result<Server, StartError> {
        let mut server = self.launch().await?;
        server.ready().await?;
        Ok(server)
    }

    /// Starts the process without waiting for it: members of a cluster are ready only together.
    pub(crate) async fn launch(self) -> Result<Server, StartError> {
        let (dir, temporary) = match self.dir {
            Some(dir) => (dir, None),
            None => {
                let made = tempfile::Builder::new().prefix("gantry-nats-").tempdir();
                let made = made.map_err(StartError::file("create a directory in", std::env::temp_dir()))?;
                (made.path().to_owned(), Some(made))
            }
        };
        let files = Files::create(&dir)?;
        let lock = DirectoryLock::take(&files).await?;
        end_left_over(&files).await?;
        let binary = match self.binary {
            Some(binary) => binary,
            None => Binary::find(&self.search).await?,
        };
        let port = Port { number: self.port, chosen: self.port == 0 };
        let pid = Arc::new(AtomicU32::new(0));
        let (settings, ready_within) = (self.settings, self.ready_within);
        let monitoring = None;
        let mut server = Server {
            running: None,
            files,
            settings,
            binary,
            port,
            pid,
            monitoring,
            ready_within,
            _lock: lock,
            _temporary: temporary,
        };
        server.spawn()?;
        Ok(server)
    }
}

#[derive(Debug)]
struct Port {
    number: u16,
    // Chosen by us and not yet proven free by a start: another may be tried.
    chosen: bool,
}

/// A running nats-server that belongs to this process. Dropping it kills the server; [`Server::stop`] ends it in order.
#[derive(Debug)]
pub struct Server {
    running: Option<Running>,
    files: Files,
    settings: Settings,
    binary: Binary,
    port: Port,
    pid: Arc<AtomicU32>,
    monitoring: Option<String>,
    ready_within: Duration,
    _lock: DirectoryLock,
    _temporary: Option<TempDir>,
}

impl Server {
    /// Settings with the safe defaults.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The address for clients; stays the same over restarts.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port.number)
    }

    /// Base address of the server's monitoring endpoint; changes at each start.
    #[must_use]
    pub fn monitoring_url(&self) -> Option<String> {
        self.monitoring.as_ref().map(|address| format!("http://{address}"))
    }

    /// The process id, 0 while it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Acquire)
    }

    /// The server's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.server_name
    }

    /// The directory with its streams and files.
    #[must_use]
    pub fn store_dir(&self) -> &Path {
        self.files.dir()
    }

    /// The server's log file.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.files.log()
    }

    /// The program's version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.binary.version()
    }

    /// The program that is run.
    #[must_use]
    pub fn program(&self) -> &Path {
        self.binary.program()
    }

    /// A view for others while one task owns and watches the server.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { url: self.url(), pid: Arc::clone(&self.pid) }
    }

    /// Kills the server outright (SIGKILL) and waits until it is gone.
    pub async fn kill9(&mut self) {
        self.pid.store(0, Ordering::Release);
        if let Some(running) = self.running.take() {
            running.kill().await;
        }
    }

    /// Asks the server to end in order, and kills it if it does not within ten seconds. Does nothing when it is down.
    pub async fn stop(&mut self) {
        self.pid.store(0, Ordering::Release);
        if let Some(running) = self.running.take() {
            running.stop(STOP_WITHIN).await;
        }
    }

    /// Starts the server again on the same port and store, ending it first if it still runs.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub async fn restart(&mut self) -> Result<(), StartError> {
        self.stop().await;
        self.spawn()?;
        self.ready().await
    }

    /// Starts the process again without waiting until it is ready.
    pub(crate) fn spawn(&mut self) -> Result<(), StartError> {
        if self.port.chosen {
            self.port.number = ports::free().map_err(StartError::file("find a free port in", self.files.dir()))?;
        }
        self.files.write(&self.settings, self.port.number)?;
        let running = Running::spawn(&self.binary.program, &self.files.config())?;
        self.pid.store(running.pid(), Ordering::Release);
        self.running = Some(running);
        Ok(())
    }

    /// Waits until the process just started is ready; tries another port if the chosen one was taken meanwhile.
    pub(crate) async fn ready(&mut self) -> Result<(), StartError> {
        let mut tries = 0;
        loop {
            let Some(running) = self.running.as_mut() else {
                return Err(StartError::Ended { log: self.files.log(), tail: "it was stopped".to_owned() });
            };
            tries += 1;
            match ready::wait(running, &self.files, self.ready_within).await {
                Ok(monitoring) => {
                    self.monitoring = Some(monitoring);
                    self.port.chosen = false;
                    return Ok(());
                }
                Err(error) if self.port.chosen && error.is_port_taken() && tries < PORT_TRIES => {
                    self.kill9().await;
                    self.spawn()?;
                }
                Err(error) => {
                    self.kill9().await;
                    return Err(error);
                }
            }
        }
    }

    /// Waits until the server has ended without being asked to; at once if it does not run. Safe to drop.
    pub(crate) async fn ended(&mut self) -> Option<ExitStatus> {
        let status = match self.running.as_mut() {
            Some(running) => running.ended().await.ok(),
            None => None,
        };
        self.pid.store(0, Ordering::Release);
        self.running = None;
        status
    }
}

/// A view of a server that another task owns.
#[derive(Debug, Clone)]
pub struct Handle {
    url: String,
    pid: Arc<AtomicU32>,
}

impl Handle {
    /// The address for clients.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process id at this moment, 0 while it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Acquire)
    }

    /// Kills the server outright, for tests of what happens then; returns at once.
    pub fn kill9(&self) {
        let pid = self.pid();
        if pid != 0 {
            process::signal(pid, Signal::KILL);
        }
    }
}
