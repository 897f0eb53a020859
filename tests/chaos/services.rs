//! Runners, the api, and everything at once, killed outright while 64 clients work.

use crate::flows::started;
use crate::storm::{Progress, rage};
use testkit::Gateway;

const CLIENTS: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_runners_lose_and_double_nothing() {
    let mut gateway = started(Gateway::builder().apart(2)).await;
    let (client, progress) = (gateway.client.clone(), Progress::default());
    let faults = async {
        for (turn, acknowledged) in [30, 80, 130, 180, 230, 280].into_iter().enumerate() {
            progress.reaches(acknowledged).await;
            gateway.runners[turn % 2].kill9().await;
            gateway.restart_runner(turn % 2).await;
        }
    };
    tokio::join!(rage(&client, CLIENTS, &progress), faults);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_api_loses_and_doubles_nothing_and_its_streams_go_on() {
    let mut gateway = started(Gateway::builder().apart(1)).await;
    let (client, progress) = (gateway.client.clone(), Progress::default());
    let faults = async {
        for acknowledged in [30, 100, 170, 240] {
            progress.reaches(acknowledged).await;
            gateway.api.kill9().await;
            gateway.restart_api().await;
        }
    };
    let (told, ()) = tokio::join!(rage(&client, CLIENTS, &progress), faults);
    let connections: usize = told.iter().map(|one| one.connections).sum();
    assert!(connections > CLIENTS, "no stream was ever broken, so nothing was shown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_is_stopped_in_order_does_not_disturb_its_runs() {
    let mut gateway = started(Gateway::builder().apart(1)).await;
    let (client, progress) = (gateway.client.clone(), Progress::default());
    let faults = async {
        progress.reaches(60).await;
        assert!(gateway.api.stop().await.success());
        gateway.restart_api().await;
    };
    tokio::join!(rage(&client, CLIENTS / 2, &progress), faults);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_killed_at_once_goes_on_where_it_was() {
    let mut gateway = started(Gateway::builder()).await;
    let (client, progress) = (gateway.client.clone(), Progress::default());
    let faults = async {
        for acknowledged in [40, 160] {
            progress.reaches(acknowledged).await;
            gateway.api.kill9().await;
            gateway.restart_api().await;
        }
    };
    tokio::join!(rage(&client, CLIENTS, &progress), faults);
}
