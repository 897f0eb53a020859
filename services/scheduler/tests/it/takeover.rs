//! The leader dies, or is asked to go; another goes on where it was.

use crate::worker::Worker;
use crate::world::{SOON, World, now};
use domain::control::{Answer, JobState, NoticeKind, Order, ServiceRecord};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_within_five_seconds_and_no_job_is_lost_or_sent_twice_in_one_attempt() {
    let (mut world, worker) = (World::start().await, Worker::start().await);
    world.scheduler().await;
    world.register("a", &worker.url, "render", |record| record.more.max_concurrency = 2).await;
    let running = world.run("render", &json!({"wait": true})).await;
    world.until_state(&running, JobState::Running).await;
    let mut ids = vec![running];
    for n in 0..20 {
        ids.push(world.run("render", &json!({ "n": n })).await);
    }
    world.kill_first();
    let began = Instant::now();
    for n in 20..40 {
        ids.push(world.run("render", &json!({ "n": n })).await);
    }
    world.control.overview(SOON).await.unwrap();
    let took = began.elapsed();
    eprintln!("takeover after a killed leader: {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    worker.release();
    for id in &ids {
        let deadline = Instant::now() + SOON;
        loop {
            worker.release();
            let view = world.control.job_ended(id, Duration::from_millis(100)).await.unwrap().unwrap();
            if view.status.is_terminal() {
                assert_eq!(view.status, JobState::Completed, "{view:?}");
                break;
            }
            assert!(Instant::now() < deadline, "{view:?}");
        }
    }
    let mut sent: BTreeMap<(String, u32), usize> = BTreeMap::new();
    for call in worker.calls() {
        *sent.entry((call.job, call.attempt)).or_default() += 1;
    }
    assert!(sent.values().all(|times| *times == 1), "{sent:?}");
    assert!(worker.most_at_once() <= 2);
    let told = world.told().await;
    let ends = told.iter().filter(|notice| notice.kind == NoticeKind::JobCompleted).count();
    assert_eq!(ends, ids.len(), "each end is told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_while_nobody_leads_is_done_later() {
    let (mut world, worker) = (World::start().await, Worker::start().await);
    world.register("a", &worker.url, "render", |_| {}).await;
    world.stop_first().await;
    let request = world.job("render", &json!({"x": 1}));
    let sequence = world.submit(&request).await;
    let seen = world.control.seen(&request.id, sequence, Duration::from_millis(50)).await.unwrap();
    assert_eq!(seen, None, "nobody can say how it stands");
    world.scheduler().await;
    let began = Instant::now();
    assert_eq!(world.ended(&request.id).await.status, JobState::Completed);
    assert!(began.elapsed() < SOON);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_reads_the_snapshot_and_what_came_after() {
    let mut world = World::with(|config| config.snapshot_every = 5).await;
    let worker = Worker::start().await;
    world.register("a", &worker.url, "render", |_| {}).await;
    let mut ids = Vec::new();
    for n in 0..12 {
        let id = world.run("render", &json!({ "n": n })).await;
        world.ended(&id).await;
        ids.push(id);
    }
    let log = world.bus.control_log();
    let deadline = Instant::now() + SOON;
    while log.snapshot_mark().await.unwrap().is_none() {
        assert!(Instant::now() < deadline, "no snapshot is stored");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    world.stop_first().await;
    world.scheduler().await;
    for id in &ids {
        let view = world.control.job_view(id, SOON).await.unwrap().unwrap();
        assert_eq!((view.status, view.attempts), (JobState::Completed, 1));
    }
    let again = world.run("render", &json!({"x": 1})).await;
    let view = world.ended(&again).await;
    assert_eq!((view.status, view.place), (JobState::Completed, 12));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orders_outcome_survives_its_leader() {
    let mut world = World::start().await;
    let record = ServiceRecord::of_container("a", "render-1", 9000, "render", now());
    let order = || Order::RegisterService { service: Box::new(record.clone()) };
    let trace = bus::TraceContext::default();
    let first = world.control.order(order(), now(), Some("id-1"), SOON, &trace).await.unwrap();
    world.stop_first().await;
    world.scheduler().await;
    let second = world.control.order(order(), now(), Some("id-1"), SOON, &trace).await.unwrap();
    assert_eq!(first, second, "the same order is carried out once");
    assert!(matches!(world.order(order()).await, Answer::Refused(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_may_be_killed_under_it() {
    let (mut world, worker) = (World::start().await, Worker::start().await);
    world.register("a", &worker.url, "render", |_| {}).await;
    let before = world.run("render", &json!({"x": 1})).await;
    world.ended(&before).await;
    world.server.restart().await.unwrap();
    let deadline = Instant::now() + SOON;
    let request = world.job("render", &json!({"x": 2}));
    while world.control.submit(&request, &bus::TraceContext::default()).await.is_err() {
        assert!(Instant::now() < deadline, "the broker does not come back");
    }
    assert_eq!(world.ended(&request.id).await.status, JobState::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_overtaken_in_the_log_begins_anew_and_loses_nothing() {
    let (world, worker) = (World::start().await, Worker::start().await);
    world.register("a", &worker.url, "render", |_| {}).await;
    let running = world.run("render", &json!({"wait": true})).await;
    world.until_state(&running, JobState::Running).await;
    let (cursor, end) = (world.control.overview(SOON).await.unwrap().cursor, world.bus.notices_end().await.unwrap());
    let foreign = json!({"epoch": end + 1, "cursor": cursor, "node_cursor": 0}).to_string();
    let log = world.bus.control_log();
    let outcome = log.append(end, "another", &foreign.clone().into()).await.unwrap();
    assert_eq!(outcome, bus::CommitOutcome::Stored(end + 1));
    let late = log.append(end, "a third", &foreign.into()).await.unwrap();
    assert_eq!(late, bus::CommitOutcome::Fenced);
    let next = world.run("render", &json!({"x": 1})).await;
    world.until(&running, "sent again", |view| view.attempts == 2).await;
    let deadline = Instant::now() + SOON;
    for job in [&running, &next] {
        loop {
            worker.release();
            let view = world.control.job_ended(job, Duration::from_millis(50)).await.unwrap().unwrap();
            if view.status == JobState::Completed {
                break;
            }
            assert!(Instant::now() < deadline, "{view:?}");
        }
    }
    assert_eq!(worker.most_at_once(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_jobs_progress_outlives_its_leader_and_the_job_can_be_steered_after() {
    let (mut world, worker) = (World::start().await, Worker::start().await);
    world.register("a", &worker.url, "render", |_| {}).await;
    let job = world.run("render", &json!({"wait": true})).await;
    world.until_state(&job, JobState::Running).await;
    let progress = json!({"percent": 40}).as_object().unwrap().clone();
    let report = Order::ReportProgress { job: job.clone(), attempt: Some(1), progress, snapshot: None };
    assert!(matches!(world.order(report).await, Answer::Job(_)));
    world.kill_first();
    world.scheduler().await;
    let view = world.until(&job, "sent again", |view| view.attempts == 2).await;
    assert_eq!(view.progress.unwrap()["percent"], 40);
    assert_eq!((view.failures, view.error), (0, None), "nobody's fault");
    let answer = world.order(Order::CancelJob { job: job.clone(), running: true }).await;
    assert!(matches!(&answer, Answer::Job(_)), "{answer:?}");
    assert_eq!(world.ended(&job).await.status, JobState::Cancelled);
    let next = world.run("render", &json!({"x": 1})).await;
    assert_eq!(world.ended(&next).await.status, JobState::Completed);
}
