//! What people order of jobs.

use crate::worker::Worker;
use crate::world::{World, kind};
use domain::control::{Answer, JobState, NoticeKind, Order, RefusedKind};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_cancelled_only_on_purpose_and_then_its_call_ends() {
    let (world, worker) = (World::start().await, Worker::start().await);
    world.register("a", &worker.url, "render", |_| {}).await;
    let job = world.run("render", &json!({"wait": true})).await;
    world.until_state(&job, JobState::Running).await;
    let answer = world.order(Order::CancelJob { job: job.clone(), running: false }).await;
    assert_eq!(kind(&answer), Some(RefusedKind::JobRunning));
    world.order(Order::CancelJob { job: job.clone(), running: true }).await;
    let view = world.ended(&job).await;
    assert_eq!((view.status, view.attempts), (JobState::Cancelled, 1));
    let deadline = Instant::now() + Duration::from_secs(5);
    while worker.at_work() > 0 {
        assert!(Instant::now() < deadline, "the call goes on");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let answer = world.order(Order::CancelJob { job, running: true }).await;
    assert_eq!(kind(&answer), Some(RefusedKind::JobEnded));
    let next = world.run("render", &json!({"x": 1})).await;
    assert_eq!(world.ended(&next).await.status, JobState::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_jobs_are_cancelled_and_reprioritised_and_unknown_ones_are_not() {
    let world = World::start().await;
    let job = world.run("render", &json!({"x": 1})).await;
    world.until_state(&job, JobState::Queued).await;
    let answer = world.order(Order::SetPriority { job: job.clone(), priority: 1 }).await;
    assert!(matches!(&answer, Answer::Job(view) if view.priority == 1), "{answer:?}");
    let answer = world.order(Order::CancelJob { job: job.clone(), running: false }).await;
    assert!(matches!(&answer, Answer::Job(view) if view.status == JobState::Cancelled), "{answer:?}");
    let answer = world.order(Order::SetPriority { job, priority: 1 }).await;
    assert_eq!(kind(&answer), Some(RefusedKind::JobNotQueued));
    let answer = world.order(Order::CancelJob { job: "nobody".into(), running: false }).await;
    assert_eq!(kind(&answer), Some(RefusedKind::UnknownJob));
    assert!(world.told().await.iter().any(|notice| notice.kind == NoticeKind::JobCancelled));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_a_superseded_attempt_is_refused() {
    let (world, worker) = (World::start().await, Worker::start().await);
    world.register("a", &worker.url, "render", |_| {}).await;
    let job = world.run("render", &json!({"wait": true})).await;
    world.until_state(&job, JobState::Running).await;
    let report = |attempt| Order::ReportProgress {
        job: job.clone(),
        attempt: Some(attempt),
        progress: json!({"percent": 10}).as_object().unwrap().clone(),
        snapshot: None,
    };
    assert!(matches!(world.order(report(1)).await, Answer::Job(_)));
    assert_eq!(kind(&world.order(report(2)).await), Some(RefusedKind::Superseded));
    worker.release();
    world.ended(&job).await;
    assert_eq!(kind(&world.order(report(1)).await), Some(RefusedKind::JobNotRunning));
}
