//! Three real servers: they elect a leader, and a stream outlives the death of its own.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use async_nats::jetstream::{self, stream};
use nats_process::Cluster;

const DEADLINE: Duration = Duration::from_secs(30);

async fn context(urls: &[String]) -> jetstream::Context {
    let addresses: Vec<async_nats::ServerAddr> = urls.iter().map(|url| url.parse().unwrap()).collect();
    let client = async_nats::ConnectOptions::new().retry_on_initial_connect().connect(addresses).await.unwrap();
    let mut context = jetstream::new(client);
    context.set_timeout(Duration::from_secs(2));
    context
}

async fn replicated(context: &jetstream::Context) -> stream::Info {
    let config =
        stream::Config { name: "SAFE".into(), subjects: vec!["safe.>".into()], num_replicas: 3, ..Default::default() };
    let make = async {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        loop {
            tick.tick().await;
            if let Ok(made) = context.get_or_create_stream(config.clone()).await {
                return made.cached_info().clone();
            }
        }
    };
    tokio::time::timeout(DEADLINE, make).await.expect("a stream with three replicas is made")
}

async fn publish(context: &jetstream::Context) {
    let store = async {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        loop {
            tick.tick().await;
            if let Ok(sent) = context.publish("safe.one", "x".into()).await
                && sent.await.is_ok()
            {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, store).await.expect("a message is stored");
}

#[tokio::test]
async fn a_replicated_stream_takes_messages_after_its_leader_was_killed_and_the_leader_comes_back() {
    let mut cluster = Cluster::start(3).await.unwrap();
    let context = context(&cluster.urls()).await;
    let info = replicated(&context).await;
    publish(&context).await;
    let leader = info.cluster.and_then(|group| group.leader).expect("the stream names its leader");
    cluster.member(&leader).expect("the leader is one of ours").kill9().await;
    publish(&context).await;
    cluster.member(&leader).unwrap().restart().await.unwrap();
    let stream = context.get_stream("SAFE").await.unwrap();
    assert!(stream.cached_info().state.messages >= 2);
    cluster.stop().await;
}
