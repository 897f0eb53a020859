//! Many clients at once that leave, ask too much, or ask while the configuration changes.

use crate::client::call;
use crate::gateway::{Gateway, PLAIN, STREAM, backend, hello, piece};
use crate::upstream::Upstream;
use axum::body::Body;
use axum::extract::ConnectInfo;
use futures::future::join_all;
use http::Request;
use http_body_util::BodyExt;
use proxy::{Config, KeyConfig, hash_key};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tower::ServiceExt;

/// Requests that are given up.
const ABORTS: usize = 100_000;
/// At once.
const TOGETHER: usize = 200;

/// Lets everybody else go on so often.
async fn moments(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_requests_given_up_at_any_moment_leave_nothing_behind_and_take_no_memory() {
    let upstream = Upstream::start(|seen, mut conn| async move {
        if seen.text().contains("\"stream\":true") {
            conn.events().await;
            conn.chunk(piece(r#"{"role":"assistant","content":"b"}"#, "null").as_bytes()).await;
            conn.hung_up().await;
            return None;
        }
        conn.json("200 OK", r#"{"choices":[]}"#).await;
        Some(conn)
    })
    .await;
    let gateway = Gateway::with("openai", &upstream, |config| {
        config.backends[0].concurrency = Some(16);
        config.bounds.queue = TOGETHER;
    })
    .await;
    // What a server does with a request whose client goes: it drops whatever it has of it.
    let router = proxy::whole_router(std::sync::Arc::clone(&gateway.proxy));
    let leave = async |number: usize| {
        // Spread over the phases by a fixed rule, so that a failure can be repeated.
        let patience = number * 7_919 % 60;
        let text = if number.is_multiple_of(5) { STREAM } else { PLAIN };
        let mut request = Request::post("/v1/chat/completions").body(Body::from(text)).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 9))));
        let whole = async {
            let mut response = router.clone().oneshot(request).await.unwrap();
            while let Some(Ok(_)) = response.body_mut().frame().await {}
        };
        tokio::select! { biased; () = whole => {} () = moments(patience) => {} }
    };
    let mut before = 0;
    for batch in 0..ABORTS / TOGETHER {
        join_all((0..TOGETHER).map(|one| leave(batch * TOGETHER + one))).await;
        gateway.accounts.forget();
        if batch == ABORTS / TOGETHER / 10 {
            gateway.settled().await;
            before = resident_kib();
        }
    }
    gateway.settled().await;
    // Other tests run in this process too; half a KiB left behind by each request would be more than this.
    let more = resident_kib().saturating_sub(before);
    assert!(more < 45 * 1024, "{more} KiB more than after the first tenth");
    assert!(upstream.counts().requests > ABORTS / 100, "{:?}", upstream.counts());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_ten_times_the_load_tenants_are_served_evenly_and_the_rest_is_told_when_to_come_back() {
    const PLACES: usize = 4;
    let upstream = Upstream::start(|_, mut conn| async move {
        tokio::time::sleep(Duration::from_millis(3)).await;
        conn.json("200 OK", r#"{"choices":[]}"#).await;
        Some(conn)
    })
    .await;
    // The first asks five times as much as each of the others.
    let names = ["greedy", "a", "b", "c", "d"];
    let key = |name: &&str| KeyConfig { name: (*name).to_owned(), hash: hash_key(name), ..KeyConfig::default() };
    let mut one = backend("one", "openai", &upstream);
    one.concurrency = Some(PLACES);
    let mut config = Config { backends: vec![one], keys: names.iter().map(key).collect(), ..Config::default() };
    config.bounds.queue = 20;
    let gateway = Gateway::start(config).await;
    let served: Vec<AtomicUsize> = names.iter().map(|_| AtomicUsize::new(0)).collect();
    let refused = AtomicUsize::new(0);
    let enough = AtomicBool::new(false);
    let client = async |tenant: usize| {
        while !enough.load(Ordering::Relaxed) {
            let headers = [("x-api-key", names[tenant])];
            let reply = call(gateway.address, "POST", "/v1/chat/completions", &headers, PLAIN).await;
            if reply.status == 200 {
                served[tenant].fetch_add(1, Ordering::Relaxed);
                let all: usize = served.iter().map(|count| count.load(Ordering::Relaxed)).sum();
                enough.fetch_or(all >= 1_000, Ordering::Relaxed);
                continue;
            }
            assert_eq!(reply.status, 429, "{}", reply.text());
            refused.fetch_add(1, Ordering::Relaxed);
            let milliseconds: u64 = reply.header("retry-after-ms").unwrap().parse().unwrap();
            let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=60_000).contains(&milliseconds) && seconds == milliseconds.div_ceil(1_000));
        }
    };
    let clients = [20, 5, 5, 5, 5];
    join_all((0..names.len()).flat_map(|tenant| (0..clients[tenant]).map(move |_| tenant)).map(client)).await;
    gateway.settled().await;
    let counts: Vec<f64> = served.iter().map(|count| count.load(Ordering::Relaxed) as f64).collect();
    let (sum, squares) = counts.iter().fold((0.0, 0.0), |(sum, squares), count| (sum + count, squares + count * count));
    let jain = sum * sum / (counts.len() as f64 * squares);
    assert!(jain >= 0.95, "Jain's index is {jain}: {counts:?}");
    assert!(refused.into_inner() > 0, "it was no overload");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reload_under_load_drops_or_refuses_a_request() {
    let upstream = Upstream::of_stream(hello()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    let write = |number: usize| {
        let text = format!(
            "[[backend]]\nname = \"one\"\nkind = \"openai\"\nbase_url = \"{}\"\nconcurrency = {}\n\n[[model]]\nname = \"m\"\naliases = [\"a{number}\"]\nreplicas = [{{ backend = \"one\" }}]\n",
            upstream.url(),
            4 + number % 3,
        );
        let draft = folder.path().join("draft");
        std::fs::write(&draft, text).unwrap();
        let later = std::time::SystemTime::now() + Duration::from_secs(number as u64 + 1);
        std::fs::File::options().append(true).open(&draft).unwrap().set_modified(later).unwrap();
        std::fs::rename(&draft, &path).unwrap();
    };
    write(0);
    let gateway = Gateway::start(Config { file: Some(path.clone()), ..Config::default() }).await;
    let over = AtomicBool::new(false);
    let client = async |_| {
        let mut count = 0;
        while !over.load(Ordering::Relaxed) {
            let reply = gateway.chat(STREAM).await;
            assert_eq!((reply.status, reply.whole, reply.text()), (200, true, hello().as_str()));
            count += 1;
        }
        count
    };
    let reloads = async {
        for number in 1..=50 {
            write(number);
            assert!(gateway.proxy.reload().unwrap(), "reload {number} saw nothing new");
            let alias = STREAM.replace("\"m\"", &format!("\"a{number}\""));
            assert_eq!(gateway.chat(&alias).await.status, 200);
        }
        over.store(true, Ordering::Relaxed);
    };
    let (counts, ()) = tokio::join!(join_all((0..16).map(client)), reloads);
    assert!(counts.iter().sum::<usize>() >= 50, "{counts:?}");
    gateway.settled().await;
}
