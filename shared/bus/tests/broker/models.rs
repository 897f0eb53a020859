//! The table of backends and models, and what proxies say of it.

use crate::{connect, soon, start};
use bus::Bus;
use domain::Time;
use domain::models::{BackendSpec, ModelTable, ProxyReport, Wanted};
use tokio::sync::watch;

fn spec() -> BackendSpec {
    BackendSpec { kind: "vllm".to_owned(), base_url: "http://vllm:8001/v1".to_owned(), ..BackendSpec::default() }
}

/// Adds a backend as the API does: on what was read, and again if somebody was faster.
async fn add(bus: &Bus, name: &str) {
    let models = bus.models();
    loop {
        let (mut table, last) = models.read().await.unwrap();
        table.put_backend(name, spec(), Wanted::Nothing, Time::from_micros(0)).unwrap();
        if models.replace(&table, last).await.unwrap() {
            return;
        }
    }
}

/// Watches as a proxy does; the task ends with the test.
fn follow(bus: &Bus) -> watch::Receiver<ModelTable> {
    let (sender, receiver) = watch::channel(ModelTable::default());
    let models = bus.models();
    #[expect(clippy::disallowed_methods, reason = "a test has no service around it")]
    tokio::spawn(async move { models.watch(|table| drop(sender.send_replace(table))).await });
    receiver
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_at_once_lose_nobodys_change_and_every_watcher_sees_all_of_them() {
    let (server, bus, _plane) = start().await;
    let mut early = follow(&bus);
    let other = connect(&server).await;
    let names: Vec<String> = (0..12).map(|n| format!("b{n}")).collect();
    let writing = names.iter().enumerate().map(|(n, name)| add(if n % 2 == 0 { &bus } else { &other }, name));
    futures::future::join_all(writing).await;
    let mut late = follow(&other);
    for watcher in [&mut early, &mut late] {
        let seen = soon(watcher.wait_for(|table| table.backends.len() == 12)).await.unwrap().clone();
        assert_eq!(seen.revision, 12);
    }
    let (table, last) = bus.models().read().await.unwrap();
    assert!(!bus.models().replace(&table, last - 1).await.unwrap(), "a stale writer is refused");
    assert!(names.iter().all(|name| table.backends.contains_key(name)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_none_is_not_told_and_a_good_one_after_it_is() {
    let (server, bus, _plane) = start().await;
    add(&bus, "a").await;
    let mut watcher = follow(&bus);
    soon(watcher.wait_for(|table| table.revision == 1)).await.unwrap();
    let raw = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(raw);
    let bucket = jetstream.get_key_value("GANTRY_MODELS").await.unwrap();
    let key = soon(bucket.keys()).await.unwrap();
    let key = futures::TryStreamExt::try_collect::<Vec<String>>(key).await.unwrap().remove(0);
    let garbage = bucket.put(&key, "no table".into()).await.unwrap();
    let error = bus.models().read().await.unwrap_err();
    assert!(!error.is_transient(), "{error}");
    assert_eq!(watcher.borrow().revision, 1, "the last good one holds");
    let good = ModelTable { revision: 7, ..ModelTable::default() };
    assert!(bus.models().replace(&good, garbage).await.unwrap());
    soon(watcher.wait_for(|table| table.revision == 7)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_each_proxy_last_said_is_there_once() {
    let (_server, bus, _plane) = start().await;
    let models = bus.models();
    assert_eq!(models.reports().await.unwrap(), []);
    let says = |proxy: &str, revision| ProxyReport {
        proxy: proxy.to_owned(),
        revision,
        backends: Vec::new(),
        own_models: Vec::new(),
        passed_over: Vec::new(),
    };
    for report in [says("two", 1), says("one", 1), says("two", 2)] {
        models.report(&report).await.unwrap();
    }
    assert_eq!(models.reports().await.unwrap(), [says("one", 1), says("two", 2)]);
}
