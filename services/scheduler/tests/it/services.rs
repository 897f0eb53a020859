//! Registered services: their health, their addresses, their end.

use crate::worker::Worker;
use crate::world::{SOON, World, kind, now};
use domain::control::{
    Answer, JobState, Order, RefusedKind, ServiceChange, ServiceName, ServiceRecord, ServiceState, ServiceWant,
};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn register(record: ServiceRecord) -> Order {
    Order::RegisterService { service: Box::new(record) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_this_network_needs_the_setting_and_an_endpoint_cannot_leave_its_host() {
    let world = World::with(|config| config.private_addresses = false).await;
    let private = ServiceRecord::at_url("a", "http://127.0.0.1:9", "x", now());
    assert_eq!(kind(&world.order(register(private)).await), Some(RefusedKind::Invalid));
    let mut lured = ServiceRecord::of_container("b", "b", 80, "x", now());
    lured.health_endpoint = "@evil:80/health".to_owned();
    assert_eq!(kind(&world.order(register(lured)).await), Some(RefusedKind::Invalid));
    assert!(world.control.services(false, SOON).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_for_a_service_that_becomes_healthy_late() {
    let (world, worker) = (World::start().await, Worker::start().await);
    worker.seen.sick.store(true, Ordering::SeqCst);
    let record = ServiceRecord::at_url("a", &worker.url, "render", now());
    assert!(matches!(world.order(register(record)).await, Answer::Service(_)));
    let job = world.run("render", &json!({"x": 1})).await;
    let deadline = Instant::now() + SOON;
    while worker.seen.health_checks.load(Ordering::SeqCst) < 3 {
        assert!(Instant::now() < deadline, "nobody asks");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let view = world.until_state(&job, JobState::Queued).await;
    assert_eq!(view.waiting.unwrap().reason["because"], "starting");
    worker.seen.sick.store(false, Ordering::SeqCst);
    assert_eq!(world.ended(&job).await.status, JobState::Completed);
    let checks = worker.seen.health_checks.load(Ordering::SeqCst);
    let views = world.control.services(true, SOON).await.unwrap();
    assert!(views[0].healthy && views[0].response_time_ms.is_some());
    assert_eq!(worker.seen.health_checks.load(Ordering::SeqCst), checks + 1, "a healthy service is left in peace");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_gone_gets_no_jobs_until_it_is_back() {
    let (world, worker) = (World::start().await, Worker::start().await);
    world.register("a", &worker.url, "render", |_| {}).await;
    let port = worker.port;
    drop(worker);
    let mut request = world.job("render", &json!({"x": 1}));
    request.retry_first_ms = Some(10);
    world.submit(&request).await;
    let view = world.until(&request.id, "failed once", |view| view.failures == 1).await;
    assert!(view.error.unwrap().contains(&format!("127.0.0.1:{port}")));
    let name = ServiceName::from("a");
    let state = world.control.service(&name, false, SOON).await.unwrap().unwrap().state;
    assert_eq!(state, ServiceState::Unhealthy);
    let _back = Worker::start_at(port, Arc::default()).await;
    let view = world.ended(&request.id).await;
    assert_eq!((view.status, view.failures), (JobState::Completed, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_are_changed_disabled_and_removed() {
    let (world, worker) = (World::start().await, Worker::start().await);
    world.register("a", &worker.url, "render", |_| {}).await;
    let twice = ServiceRecord::at_url("a", &worker.url, "render", now());
    assert_eq!(kind(&world.order(register(twice)).await), Some(RefusedKind::ServiceExists));
    let name = ServiceName::from("a");
    let change = |change| Order::UpdateService { name: name.clone(), change: Box::new(change) };
    let disabled = ServiceChange { enabled: Some(false), ..ServiceChange::default() };
    assert!(matches!(world.order(change(disabled)).await, Answer::Service(view) if !view.record.enabled));
    let job = world.run("render", &json!({"wait": true})).await;
    let view = world.until(&job, "explained", |view| view.waiting.is_some()).await;
    assert_eq!(view.waiting.unwrap().reason["because"], "no_service");
    let enabled = ServiceChange { enabled: Some(true), ..ServiceChange::default() };
    world.order(change(enabled)).await;
    world.until_state(&job, JobState::Running).await;
    let answer = world.order(Order::DeleteService { name: name.clone() }).await;
    assert_eq!(kind(&answer), Some(RefusedKind::ServiceHasActiveJobs));
    worker.release();
    world.ended(&job).await;
    assert_eq!(world.order(Order::DeleteService { name: name.clone() }).await, Answer::Deleted(name.clone()));
    assert_eq!(kind(&world.order(Order::DeleteService { name }).await), Some(RefusedKind::UnknownService));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_service_without_a_host_says_what_is_missing() {
    let world = World::start().await;
    let record = ServiceRecord::of_container("a", "render-1", 9000, "render", now());
    assert!(matches!(world.order(register(record)).await, Answer::Service(_)));
    let name = ServiceName::from("a");
    let answer = world.order(Order::StartService { name: name.clone() }).await;
    assert_eq!(kind(&answer), Some(RefusedKind::NoNode));
    let view = world.control.service_when(&name, ServiceWant::Down, SOON).await.unwrap().unwrap();
    assert!(!view.container_running);
    let job = world.run("render", &json!({"x": 1})).await;
    let view = world.until(&job, "explained", |view| view.waiting.is_some()).await;
    assert_eq!(view.waiting.unwrap().reason["because"], "no_node");
}
