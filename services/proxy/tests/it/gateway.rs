//! A proxy on a port of its own.

use crate::client::{Open, Reply, call};
use crate::upstream::Upstream;
use proxy::{BackendConfig, Config, Proxy, SharedSink, Usage, UsageSink};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The proxy under test. When the test ends nothing may be held any more.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) accounts: Accounts,
    stop: CancellationToken,
    _stop: DropGuard,
}

/// A sink that remembers.
#[derive(Clone, Default)]
pub(crate) struct Accounts(Arc<Mutex<Vec<Usage>>>);

impl UsageSink for Accounts {
    fn record(&self, usage: Usage) {
        self.0.lock().unwrap().push(usage);
    }
}

impl Accounts {
    /// The account of the only request.
    pub(crate) async fn only(&self) -> Usage {
        let wait = Instant::now();
        loop {
            if let [only] = self.0.lock().unwrap().as_slice() {
                return only.clone();
            }
            assert!(wait.elapsed() < Duration::from_secs(10), "no account: {:?}", self.0.lock().unwrap());
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn forget(&self) {
        self.0.lock().unwrap().clear();
    }

    pub(crate) fn all(&self) -> Vec<Usage> {
        self.0.lock().unwrap().clone()
    }
}

pub(crate) fn backend(name: &str, kind: &str, upstream: &Upstream) -> BackendConfig {
    let key = Some("upstream-key".to_owned().into());
    BackendConfig { api_key: key, ..BackendConfig::new(name, kind, &upstream.url()) }
}

impl Gateway {
    /// In front of one backend of that kind.
    pub(crate) async fn of(kind: &str, upstream: &Upstream) -> Self {
        Self::with(kind, upstream, |_| {}).await
    }

    /// The same with changes to the configuration.
    pub(crate) async fn with(kind: &str, upstream: &Upstream, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { backends: vec![backend("one", kind, upstream)], ..Config::default() };
        change(&mut config);
        Self::start(config).await
    }

    pub(crate) async fn start(config: Config) -> Self {
        Self::measured(config, String::new).await
    }

    /// The same with its tasks running: it looks at its backend again and again.
    pub(crate) async fn watched(kind: &str, upstream: &Upstream, change: impl FnOnce(&mut Config)) -> Self {
        let gateway = Self::with(kind, upstream, change).await;
        gateway.watch();
        gateway
    }

    fn watch(&self) {
        let (proxy, stop) = (Arc::clone(&self.proxy), self.stop.clone());
        tokio::spawn(async move { Box::pin(stop.run_until_cancelled(proxy.watch())).await });
    }

    /// One of several on that broker, with its tasks running.
    pub(crate) async fn on(bus: &bus::Bus, config: Config) -> Self {
        let accounts = Accounts::default();
        let sink: SharedSink = Arc::new(accounts.clone());
        let proxy = Proxy::new(config).unwrap().with_sink(sink).with_bus(bus).await.unwrap();
        let gateway = Self::serving(Arc::new(proxy), accounts).await;
        gateway.watch();
        gateway
    }

    /// With that text behind `/metrics`.
    pub(crate) async fn measured(config: Config, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        let accounts = Accounts::default();
        let sink: SharedSink = Arc::new(accounts.clone());
        let proxy = Arc::new(Proxy::new(config).unwrap().with_sink(sink).with_metrics(render));
        Self::serving(proxy, accounts).await
    }

    async fn serving(proxy: Arc<Proxy>, accounts: Accounts) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(proxy::serve(listener, Arc::clone(&proxy), stop.clone()));
        Self { address, proxy, accounts, stop: stop.clone(), _stop: stop.drop_guard() }
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Reply {
        call(self.address, "POST", path, &[], body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        call(self.address, "GET", path, &[], "").await
    }

    pub(crate) async fn chat(&self, body: &str) -> Reply {
        self.post("/v1/chat/completions", body).await
    }

    /// Opens a request without waiting for its response.
    pub(crate) async fn open(&self, path: &str, body: &str) -> Open {
        Open::send(self.address, "POST", path, &[], body).await
    }

    /// Ends as a process does that is told to stop.
    pub(crate) async fn leave(self) {
        self.stop.cancel();
        self.until_open(0).await;
        self.proxy.leave().await;
    }

    /// Waits until so many requests are open.
    pub(crate) async fn until_open(&self, count: i64) {
        let wait = Instant::now();
        while self.proxy.open_requests().0 != count {
            assert!(wait.elapsed() < Duration::from_secs(10), "open: {:?}", self.proxy.open_requests());
            tokio::task::yield_now().await;
        }
    }

    /// Waits until so many requests stand in queues.
    pub(crate) async fn until_waiting(&self, count: usize) {
        let wait = Instant::now();
        while self.proxy.waiting_requests() != count {
            assert!(wait.elapsed() < Duration::from_secs(10), "waiting: {}", self.proxy.waiting_requests());
            tokio::task::yield_now().await;
        }
    }

    /// Waits until so many requests are read on although their client has left.
    pub(crate) async fn until_parting(&self, count: usize) {
        let wait = Instant::now();
        while self.proxy.parting_requests() != count {
            assert!(wait.elapsed() < Duration::from_secs(10), "parting: {}", self.proxy.parting_requests());
            tokio::task::yield_now().await;
        }
    }

    /// Waits until no request is open, and checks that nothing is held then.
    pub(crate) async fn settled(&self) {
        let wait = Instant::now();
        while self.proxy.open_requests() != (0, 0) {
            assert!(wait.elapsed() < Duration::from_secs(10), "still held: {:?}", self.proxy.open_requests());
            tokio::task::yield_now().await;
        }
        assert_eq!(self.proxy.leaked_permits(), 0);
    }
}

/// A chunk of an answer.
pub(crate) fn piece(delta: &str, finish: &str) -> String {
    format!(
        r#"data: {{"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}{}"#,
        "\n\n"
    )
}

pub(crate) const DONE: &str = "data: [DONE]\n\n";
pub(crate) const STREAM: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
pub(crate) const PLAIN: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;

/// A whole good stream.
pub(crate) fn hello() -> String {
    [
        piece(r#"{"role":"assistant","content":"Hel"}"#, "null"),
        piece(r#"{"content":"lo"}"#, "null"),
        piece("{}", r#""stop""#),
        DONE.to_owned(),
    ]
    .concat()
}
