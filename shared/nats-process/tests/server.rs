//! One real server: start, stop, kill, restart, and what a crash of the gateway leaves behind.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panicking and ends its own tasks")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use nats_process::{Event, GaveUp, Restarts, Server, StartError, SyncInterval};

const DEADLINE: Duration = Duration::from_secs(20);

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tick.tick().await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {what}"))
}

fn runs(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

fn pid_in(dir: &Path) -> Option<u32> {
    std::fs::read_to_string(dir.join("server.pid")).ok()?.trim().parse().ok()
}

async fn context(url: &str) -> jetstream::Context {
    jetstream::new(async_nats::connect(url).await.unwrap())
}

async fn store_one(context: &jetstream::Context) {
    let config =
        jetstream::stream::Config { name: "KEPT".into(), subjects: vec!["kept.>".into()], ..Default::default() };
    context.get_or_create_stream(config).await.unwrap();
    context.publish("kept.one", "x".into()).await.unwrap().await.unwrap();
}

async fn stored(context: &jetstream::Context) -> u64 {
    context.get_stream("KEPT").await.unwrap().cached_info().state.messages
}

#[tokio::test]
async fn a_server_is_ready_within_a_second_and_answers_where_it_says() {
    // The fastest of three, because other tests share the processors.
    let (mut took, mut fastest) = (Duration::MAX, None);
    for _ in 0..3 {
        let began = Instant::now();
        let server = Server::builder().start().await.unwrap();
        took = took.min(began.elapsed());
        fastest = Some(server);
    }
    let server = fastest.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    assert_eq!(client.server_info().max_payload, 4 * 1024 * 1024);
    assert_eq!(client.server_info().version, server.version().to_string());
    assert!(client.server_info().jetstream);
    assert!(took < Duration::from_secs(1), "ready after {took:?}");
}

#[tokio::test]
async fn a_killed_server_restarts_on_the_same_port_with_its_streams() {
    let mut server = Server::builder().durability(SyncInterval::Every(Duration::from_secs(1))).start().await.unwrap();
    let (url, first) = (server.url(), server.pid());
    store_one(&context(&url).await).await;
    server.kill9().await;
    assert!(!runs(first));
    assert_eq!(server.pid(), 0);
    server.restart().await.unwrap();
    assert_eq!(server.url(), url);
    assert_ne!(server.pid(), first);
    assert_eq!(stored(&context(&url).await).await, 1);
}

#[tokio::test]
async fn a_stopped_server_leaves_its_store_for_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::builder().store_dir(dir.path()).start().await.unwrap();
    store_one(&context(&server.url()).await).await;
    server.stop().await;
    drop(server);
    let next = Server::builder().store_dir(dir.path()).start().await.unwrap();
    assert_eq!(stored(&context(&next.url()).await).await, 1);
}

#[tokio::test]
async fn a_watched_server_that_dies_is_back_on_its_port() {
    let mut server = Server::builder().start().await.unwrap();
    let handle = server.handle();
    let first = handle.pid();
    let (sender, mut events) = tokio::sync::mpsc::channel(16);
    let watching = tokio::spawn(async move {
        server.watch(Restarts::default(), |event| sender.try_send(event).expect("the test reads its events")).await
    });
    handle.kill9();
    assert!(matches!(events.recv().await, Some(Event::Died { status: Some(_) })));
    let Some(Event::Restarted { pid, .. }) = events.recv().await else { panic!("no restart was reported") };
    assert_ne!(pid, first);
    assert_eq!(handle.pid(), pid);
    async_nats::connect(handle.url()).await.unwrap();
    watching.abort();
}

#[tokio::test]
async fn a_server_that_cannot_stay_up_is_given_up_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::builder().store_dir(dir.path()).start().await.unwrap();
    let port: u16 = server.url().rsplit(':').next().unwrap().parse().unwrap();
    server.kill9().await;
    let _squatter = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let restarts = Restarts { attempts: 2, first_pause: Duration::from_millis(1), ..Restarts::default() };
    let mut failed = 0;
    let GaveUp { attempts, reason, .. } =
        server.watch(restarts, |event| failed += usize::from(matches!(event, Event::RestartFailed { .. }))).await;
    assert_eq!((attempts, failed), (2, 2));
    assert!(reason.contains("address already in use"), "{reason}");
}

#[tokio::test]
async fn two_gateways_on_one_store_are_told_apart_by_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Server::builder().store_dir(dir.path()).start().await.unwrap();
    let error = Server::builder().store_dir(dir.path()).start().await.unwrap_err();
    assert!(matches!(error, StartError::Locked { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&format!("in use by process {}", std::process::id())), "{text}");
}

#[tokio::test]
async fn a_server_left_behind_is_ended_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::builder().store_dir(dir.path()).start().await.unwrap();
    let program = server.program().to_owned();
    store_one(&context(&server.url()).await).await;
    server.stop().await;
    drop(server);
    let config = dir.path().canonicalize().unwrap().join("server.conf");
    let mut orphan = Command::new(program).arg("--config").arg(config).stdout(Stdio::null()).spawn().unwrap();
    until("the orphan writes its pid file", async || pid_in(dir.path()).filter(|pid| *pid == orphan.id())).await;
    let next = Server::builder().store_dir(dir.path()).start().await.unwrap();
    assert!(orphan.try_wait().unwrap().is_some(), "the orphan still runs");
    assert_eq!(stored(&context(&next.url()).await).await, 1);
}

#[tokio::test]
async fn a_stale_pid_file_that_names_a_stranger_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let mut stranger = Command::new("sleep").arg("60").spawn().unwrap();
    std::fs::write(dir.path().join("server.pid"), stranger.id().to_string()).unwrap();
    let _server = Server::builder().store_dir(dir.path()).start().await.unwrap();
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger was killed");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

fn holder_program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("examples/hold_until_killed")
}

#[tokio::test]
async fn a_server_does_not_outlive_a_gateway_that_is_killed_outright() {
    let dir = tempfile::tempdir().unwrap();
    let mut gateway = Command::new(holder_program()).arg(dir.path()).spawn().unwrap();
    until("the gateway's server is ready", async || dir.path().join("held").exists().then_some(())).await;
    let server = pid_in(dir.path()).unwrap();
    assert!(runs(server));
    gateway.kill().unwrap();
    gateway.wait().unwrap();
    until("the server ends with its gateway", async || (!runs(server)).then_some(())).await;
}

#[tokio::test]
async fn a_start_right_after_a_gateway_was_killed_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    let mut gateway = Command::new(holder_program()).arg(dir.path()).spawn().unwrap();
    until("the gateway's server is ready", async || dir.path().join("held").exists().then_some(())).await;
    gateway.kill().unwrap();
    gateway.wait().unwrap();
    let server = Server::builder().store_dir(dir.path()).start().await.unwrap();
    async_nats::connect(server.url()).await.unwrap();
}
