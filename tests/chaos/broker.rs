//! The broker killed outright: the only one, and the leader of three.

use crate::flows::started;
use crate::storm::{Progress, rage};
use futures::TryStreamExt;
use testkit::{Gateway, SOON, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_loses_and_doubles_nothing_and_streams_go_on() {
    let mut gateway = started(Gateway::builder().apart(2)).await;
    let (client, progress) = (gateway.client.clone(), Progress::default());
    let faults = async {
        for acknowledged in [30, 120, 210] {
            progress.reaches(acknowledged).await;
            gateway.single_broker().kill9().await;
            gateway.single_broker().restart().await.unwrap();
        }
    };
    tokio::join!(rage(&client, 64, &progress), faults);
}

/// The member that leads most of the streams.
async fn leader(urls: Vec<String>) -> String {
    let addresses: Vec<async_nats::ServerAddr> = urls.iter().map(|url| url.parse().unwrap()).collect();
    let connected = async_nats::connect(addresses.as_slice()).await.unwrap();
    let context = async_nats::jetstream::new(connected);
    until("a leader", SOON, async || {
        let mut leaders: Vec<String> = Vec::new();
        let mut streams = context.streams();
        while let Some(stream) = streams.try_next().await.map_err(|error| error.to_string())? {
            leaders.extend(stream.cluster.and_then(|cluster| cluster.leader));
        }
        let often = |name: &&String| leaders.iter().filter(|other| other == name).count();
        leaders.iter().max_by_key(often).cloned().ok_or_else(|| "no stream has a leader".to_owned())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_loses_its_leader_loses_and_doubles_nothing() {
    let mut gateway = started(Gateway::builder().apart(2).cluster()).await;
    let (client, progress) = (gateway.client.clone(), Progress::default());
    let faults = async {
        for acknowledged in [30, 120] {
            progress.reaches(acknowledged).await;
            let name = leader(gateway.cluster().urls()).await;
            let member = gateway.cluster().member(&name).unwrap();
            member.kill9().await;
            progress.reaches(acknowledged + 40).await;
            member.restart().await.unwrap();
        }
    };
    tokio::join!(rage(&client, 64, &progress), faults);
}
