//! Services in containers: started on demand, evicted, stopped when idle, and given up when they die.

use crate::host::{GPU_MB, Host, Image, free_port};
use crate::worker::Seen;
use crate::world::{SOON, World, kind, now};
use domain::control::{
    Answer, JobState, NoticeKind, Order, RefusedKind, ServiceMore, ServiceName, ServiceRecord, ServiceState,
    ServiceView, ServiceWant,
};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub(crate) fn image(vram_mb: u64) -> Image {
    Image { port: free_port(), vram_mb, seen: Arc::new(Seen::default()) }
}

pub(crate) async fn register(world: &World, name: &str, image: &Image, change: impl FnOnce(&mut ServiceMore)) {
    let mut record = ServiceRecord::of_container(name, name, image.port, name, now());
    #[expect(clippy::cast_precision_loss, reason = "a test's sizes are small")]
    let vram_gb = image.vram_mb as f64 / 1024.0;
    record.vram_gb = vram_gb;
    change(&mut record.more);
    let answer = world.order(Order::RegisterService { service: Box::new(record) }).await;
    assert!(matches!(answer, Answer::Service(_)), "{answer:?}");
}

pub(crate) async fn view(world: &World, name: &str) -> ServiceView {
    world.control.service(&ServiceName::from(name), false, SOON).await.unwrap().unwrap()
}

pub(crate) async fn host(world: &World, images: &[(&str, &Image)]) -> Host {
    let host = Host::start(&world.bus, "gpu-1", images);
    let deadline = Instant::now() + SOON;
    while world.control.overview(SOON).await.unwrap().devices.is_empty() {
        assert!(Instant::now() < deadline, "the host is not seen");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    host
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_starts_its_container_and_an_idle_one_is_stopped() {
    let world = World::start().await;
    let one = image(4_096);
    let host = host(&world, &[("one", &one)]).await;
    register(&world, "one", &one, |more| more.idle_timeout_ms = Some(3_000)).await;
    let job = world.run("one", &json!({"x": 1})).await;
    let ended = world.ended(&job).await;
    assert_eq!((ended.status, ended.attempts), (JobState::Completed, 1));
    let up = view(&world, "one").await;
    assert_eq!((up.state, up.node.as_deref(), up.reserved_mb), (ServiceState::Idle, Some("gpu-1"), 4_096));
    assert!(up.started_by_scheduler);
    world.control.service_when(&"one".into(), ServiceWant::Down, SOON).await.unwrap().unwrap();
    assert!(host.running().await.is_empty());
    let orders: Vec<String> = host.orders().await.into_iter().map(|(verb, _)| verb).collect();
    assert_eq!(orders, ["start", "stop"]);
    let devices = world.control.overview(SOON).await.unwrap().devices;
    assert_eq!(devices[0].reserved_mb, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_service_makes_room_and_a_busy_one_does_not() {
    let world = World::with(|config| config.policy.settle_timeout_ms = 2_500).await;
    let (one, two) = (image(6_144), image(6_144));
    let host = host(&world, &[("one", &one), ("two", &two)]).await;
    register(&world, "one", &one, |_| {}).await;
    register(&world, "two", &two, |_| {}).await;
    let first = world.run("one", &json!({"wait": true})).await;
    world.until_state(&first, JobState::Running).await;
    let answer = world.order(Order::StartService { name: "two".into() }).await;
    let Answer::Refused(refused) = &answer else { panic!("{answer:?}") };
    assert_eq!(
        (kind(&answer), refused.numbers.as_ref().unwrap()["required_mb"].as_u64()),
        (Some(RefusedKind::InsufficientVram), Some(6_144))
    );
    let second = world.run("two", &json!({"x": 1})).await;
    let waiting = world.until(&second, "explained", |view| view.waiting.is_some()).await.waiting.unwrap();
    assert_eq!(waiting.reason["because"], "no_room", "{}", waiting.text);
    assert!(waiting.text.contains("one"), "{}", waiting.text);
    one.seen.release();
    assert_eq!(world.ended(&first).await.status, JobState::Completed);
    assert_eq!(world.ended(&second).await.status, JobState::Completed);
    assert_eq!(host.running().await, ["two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_victim_that_cannot_be_asked_loses_its_container_before_its_slot_is_given_away() {
    let world = World::with(|config| {
        config.policy.min_runtime_ms = 0;
        config.policy.settle_timeout_ms = 2_500;
    })
    .await;
    let one = image(4_096);
    let host = host(&world, &[("one", &one)]).await;
    register(&world, "one", &one, |_| {}).await;
    let mut slow = world.job("one", &json!({"wait": true}));
    slow.priority = 5;
    world.submit(&slow).await;
    world.until_state(&slow.id, JobState::Running).await;
    let mut urgent = world.job("one", &json!({"urgent": true}));
    urgent.priority = 0;
    world.submit(&urgent).await;
    assert_eq!(world.ended(&urgent.id).await.status, JobState::Completed);
    world.until(&slow.id, "running again", |view| view.attempts == 2 && view.status == JobState::Running).await;
    one.seen.release();
    let ended = world.ended(&slow.id).await;
    assert_eq!((ended.status, ended.failures, ended.preempt_count), (JobState::Completed, 0, 1), "{ended:?}");
    assert_eq!(one.seen.most.load(Ordering::SeqCst), 1, "two were on one slot");
    let orders: Vec<String> = host.orders().await.into_iter().map(|(verb, _)| verb).collect();
    assert_eq!(orders, ["start", "stop", "start"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_dies_costs_an_attempt_and_is_started_again() {
    let world = World::with(|config| {
        config.policy.start_backoff_ms = 50;
        config.policy.settle_timeout_ms = 1_000;
    })
    .await;
    let one = image(4_096);
    let host = host(&world, &[("one", &one)]).await;
    register(&world, "one", &one, |_| {}).await;
    let mut request = world.job("one", &json!({"wait": true}));
    request.retry_first_ms = Some(20);
    world.submit(&request).await;
    world.until_state(&request.id, JobState::Running).await;
    host.crash("one").await;
    let again = world.until(&request.id, "running again", |view| view.attempts >= 2).await;
    assert_eq!(again.failures, 1, "{again:?}");
    world.until_state(&request.id, JobState::Running).await;
    one.seen.release();
    assert_eq!(world.ended(&request.id).await.status, JobState::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_says_why_and_a_service_that_never_fits_fails_its_jobs_at_once() {
    let world = World::start().await;
    let (missing, huge) = (image(1_024), image(GPU_MB + 1));
    let _host = host(&world, &[]).await;
    register(&world, "missing", &missing, |_| {}).await;
    register(&world, "huge", &huge, |_| {}).await;
    let job = world.run("missing", &json!({"x": 1})).await;
    let failed = |reason: &serde_json::Value| reason["because"] == "start_failed";
    let waits = world
        .until(&job, "told why", |view| view.waiting.as_ref().is_some_and(|waiting| failed(&waiting.reason)))
        .await;
    assert!(waits.waiting.unwrap().text.contains("no container 'missing'"));
    let job = world.run("huge", &json!({"x": 1})).await;
    let ended = world.ended(&job).await;
    assert_eq!((ended.status, ended.attempts), (JobState::Failed, 0));
    assert!(ended.error.unwrap().contains("8192"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_host_gives_its_jobs_back_and_they_run_when_it_is_heard_again() {
    let world = World::start().await;
    let one = image(4_096);
    let images = [("one", &one)];
    let first = host(&world, &images).await;
    register(&world, "one", &one, |_| {}).await;
    let job = world.run("one", &json!({"wait": true})).await;
    world.until_state(&job, JobState::Running).await;
    first.vanish().await;
    world.until(&job, "given back", |view| view.status == JobState::Queued).await;
    let told = world.told().await;
    let given_back = told.iter().rfind(|notice| matches!(notice.kind, NoticeKind::JobRequeued { .. })).unwrap();
    assert_eq!(given_back.host.as_deref(), Some("gpu-1"), "so that its node can speak for it");
    let _back = Host::start(&world.bus, "gpu-1", &images);
    world.until(&job, "running again", |view| view.attempts >= 2 && view.status == JobState::Running).await;
    one.seen.release();
    assert_eq!(world.ended(&job).await.status, JobState::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_during_a_start_finishes_it_once() {
    let mut world = World::start().await;
    let one = image(4_096);
    let host = host(&world, &[("one", &one)]).await;
    one.seen.sick.store(true, Ordering::SeqCst);
    register(&world, "one", &one, |_| {}).await;
    let job = world.run("one", &json!({"x": 1})).await;
    let deadline = Instant::now() + SOON;
    while one.seen.health_checks.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < deadline, "nobody asks");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    world.kill_first();
    world.scheduler().await;
    one.seen.sick.store(false, Ordering::SeqCst);
    assert_eq!(world.ended(&job).await.status, JobState::Completed);
    let orders = host.orders().await;
    assert_eq!(orders.len(), 1, "{orders:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_starts_and_drains_a_service_and_its_job_ends_first() {
    let world = World::start().await;
    let one = image(1_024);
    let host = host(&world, &[("one", &one)]).await;
    register(&world, "one", &one, |_| {}).await;
    let before = world.order(Order::StartService { name: "one".into() }).await;
    assert!(matches!(&before, Answer::Service(view) if !view.container_running), "{before:?}");
    let up = world.control.service_when(&"one".into(), ServiceWant::Up, SOON).await.unwrap().unwrap();
    assert_eq!(up.state, ServiceState::Idle);
    let again = world.order(Order::StartService { name: "one".into() }).await;
    assert!(matches!(&again, Answer::Service(view) if view.container_running), "{again:?}");
    let job = world.run("one", &json!({"wait": true})).await;
    world.until_state(&job, JobState::Running).await;
    world.order(Order::StopService { name: "one".into(), drain: true }).await;
    assert_eq!(view(&world, "one").await.state, ServiceState::Draining);
    one.seen.release();
    let ended = world.ended(&job).await;
    assert_eq!((ended.status, ended.attempts), (JobState::Completed, 1));
    world.control.service_when(&"one".into(), ServiceWant::Down, SOON).await.unwrap().unwrap();
    assert!(host.running().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_without_draining_costs_its_job_no_failure() {
    let world = World::with(|config| config.policy.settle_timeout_ms = 1_000).await;
    let one = image(1_024);
    let host = host(&world, &[("one", &one)]).await;
    register(&world, "one", &one, |_| {}).await;
    let job = world.run("one", &json!({"wait": true})).await;
    world.until_state(&job, JobState::Running).await;
    world.order(Order::StopService { name: "one".into(), drain: false }).await;
    let again = world.until(&job, "sent again", |view| view.attempts == 2).await;
    assert_eq!((again.failures, again.error), (0, None));
    one.seen.release();
    assert_eq!(world.ended(&job).await.status, JobState::Completed);
    let orders: Vec<String> = host.orders().await.into_iter().map(|(verb, _)| verb).collect();
    assert_eq!(orders, ["start", "stop", "start"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_a_person_started_is_taken_over_as_it_is() {
    let world = World::start().await;
    let one = image(1_024);
    let host = host(&world, &[("one", &one)]).await;
    host.start_by_hand("one").await;
    register(&world, "one", &one, |more| more.idle_timeout_ms = Some(1)).await;
    let up = world.control.service_when(&"one".into(), ServiceWant::Up, SOON).await.unwrap().unwrap();
    assert!(!up.started_by_scheduler);
    let job = world.run("one", &json!({"x": 1})).await;
    assert_eq!(world.ended(&job).await.status, JobState::Completed);
    assert_eq!(view(&world, "one").await.state, ServiceState::Idle, "what a person started is not stopped when idle");
    assert!(host.orders().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn gpus_that_cannot_be_read_for_a_while_fail_no_job_and_cost_no_container() {
    let world = World::with(|config| config.policy.settle_timeout_ms = 500).await;
    let (one, two) = (image(4_096), image(1_024));
    let host = host(&world, &[("one", &one), ("two", &two)]).await;
    register(&world, "one", &one, |_| {}).await;
    register(&world, "two", &two, |_| {}).await;
    let held = world.run("one", &json!({"wait": true})).await;
    world.until_state(&held, JobState::Running).await;
    host.blinded(true).await;
    let other = world.run("two", &json!({"x": 1})).await;
    assert_eq!(world.ended(&other).await.status, JobState::Completed);
    one.seen.release();
    let ended = world.ended(&held).await;
    assert_eq!((ended.status, ended.attempts), (JobState::Completed, 1), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_gpus_were_never_read_starts_what_needs_none_and_fails_no_job_that_needs_one() {
    let world = World::start().await;
    let (plain, heavy) = (image(0), image(4_096));
    let host = Host::start_blind(&world.bus, "gpu-1", &[("plain", &plain), ("heavy", &heavy)]);
    register(&world, "plain", &plain, |more| more.gpus = Some(0)).await;
    register(&world, "heavy", &heavy, |_| {}).await;
    let waits = world.run("heavy", &json!({"x": 1})).await;
    let served = world.run("plain", &json!({"x": 1})).await;
    assert_eq!(world.ended(&served).await.status, JobState::Completed);
    let waiting = world.until(&waits, "told why it waits", |view| view.waiting.is_some()).await;
    let reason = waiting.waiting.unwrap();
    assert_eq!((waiting.status, &reason.reason["because"]), (JobState::Queued, &json!("gpus_unread")), "{reason:?}");
    assert!(reason.text.contains("gpu-1"), "{}", reason.text);
    host.blinded(false).await;
    assert_eq!(world.ended(&waits).await.status, JobState::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_is_not_over_in_time_puts_the_job_back_without_a_failure() {
    let world = World::with(|config| {
        config.policy.drain_timeout_ms = 100;
        config.policy.settle_timeout_ms = 1_000;
    })
    .await;
    let one = image(1_024);
    let host = host(&world, &[("one", &one)]).await;
    register(&world, "one", &one, |_| {}).await;
    let job = world.run("one", &json!({"wait": true})).await;
    world.until_state(&job, JobState::Running).await;
    world.order(Order::StopService { name: "one".into(), drain: true }).await;
    let again = world.until(&job, "sent again", |view| view.attempts == 2).await;
    assert_eq!((again.failures, again.error), (0, None));
    one.seen.release();
    assert_eq!(world.ended(&job).await.status, JobState::Completed);
    assert_eq!(one.seen.most.load(Ordering::SeqCst), 1);
    let orders: Vec<String> = host.orders().await.into_iter().map(|(verb, _)| verb).collect();
    assert_eq!(orders, ["start", "stop", "start"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_starting_counts_however_much_is_measured_free() {
    let world = World::start().await;
    let (one, two) = (image(6_144), image(6_144));
    let host = host(&world, &[("one", &one), ("two", &two)]).await;
    one.seen.sick.store(true, Ordering::SeqCst);
    register(&world, "one", &one, |_| {}).await;
    register(&world, "two", &two, |_| {}).await;
    let (first, second) = (world.run("one", &json!({"x": 1})).await, world.run("two", &json!({"x": 2})).await);
    let deadline = Instant::now() + SOON;
    while one.seen.health_checks.load(Ordering::SeqCst) < 3 {
        assert!(Instant::now() < deadline, "nobody asks");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let waits = world
        .until(&second, "told why", |view| {
            view.waiting.as_ref().is_some_and(|waiting| waiting.reason["because"] == "no_room")
        })
        .await;
    assert!(waits.waiting.unwrap().text.contains("one"));
    assert_eq!(host.orders().await, [("start".to_owned(), "one".to_owned())]);
    one.seen.sick.store(false, Ordering::SeqCst);
    assert_eq!(world.ended(&first).await.status, JobState::Completed);
    assert_eq!(world.ended(&second).await.status, JobState::Completed);
}
