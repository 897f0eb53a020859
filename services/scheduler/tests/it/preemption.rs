//! A more urgent job makes a running one stop, truly, and gives its place back after.

use crate::worker::Worker;
use crate::world::{SOON, World};
use domain::control::{Answer, JobState, NoticeKind, Order};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn the_victim_stops_first_and_resumes_from_its_snapshot() {
    let world = World::with(|config| config.policy.min_runtime_ms = 0).await;
    let worker = Worker::start().await;
    world.register("a", &worker.url, "render", |record| record.more.stop_endpoint = Some("/stop".to_owned())).await;
    let mut slow = world.job("render", &json!({"wait": true}));
    slow.priority = 5;
    world.submit(&slow).await;
    world.until_state(&slow.id, JobState::Running).await;
    worker.until_at_work(1).await;
    let mut urgent = world.job("render", &json!({"urgent": true}));
    urgent.priority = 1;
    let began = Instant::now();
    world.submit(&urgent).await;
    assert_eq!(world.ended(&urgent.id).await.status, JobState::Completed);
    eprintln!("urgent job by preemption: {:?}", began.elapsed());
    assert!(began.elapsed() < SOON);
    let resumed = world.until(&slow.id, "running again", |view| view.attempts == 2).await;
    assert_eq!((resumed.preempt_count, resumed.failures), (1, 0));
    worker.release();
    assert_eq!(world.ended(&slow.id).await.status, JobState::Completed);
    assert_eq!(worker.most_at_once(), 1, "two were on one slot");
    let stop = worker.seen.stops.lock().unwrap()[0].clone();
    assert_eq!((stop["job_id"].as_str(), stop["cause"].as_str()), (Some(slow.id.as_str()), Some("preempted")));
    let calls = worker.calls();
    assert_eq!(calls.iter().map(|call| call.attempt).collect::<Vec<_>>(), [1, 1, 2]);
    let snapshot: Value = serde_json::from_str(calls[2].resume.as_deref().unwrap()).unwrap();
    assert_eq!(snapshot, json!({"step": 7, "word": "zwölf"}));
    let told = world.told().await;
    let preempted = NoticeKind::JobPreempted { by: Some(urgent.id.clone()) };
    assert!(told.iter().any(|notice| notice.kind == preempted));
    assert!(told.iter().any(|notice| notice.kind == NoticeKind::JobResumed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_has_not_read_the_job_yet_is_told_again_to_stop_it() {
    let world = World::with(|config| config.policy.min_runtime_ms = 0).await;
    let worker = Worker::start().await;
    worker.seen.reads_late.store(true, std::sync::atomic::Ordering::SeqCst);
    world.register("a", &worker.url, "render", |record| record.more.stop_endpoint = Some("/stop".to_owned())).await;
    let mut slow = world.job("render", &json!({"wait": true}));
    slow.priority = 5;
    world.submit(&slow).await;
    world.until_state(&slow.id, JobState::Running).await;
    let mut urgent = world.job("render", &json!({"urgent": true}));
    urgent.priority = 1;
    world.submit(&urgent).await;
    assert_eq!(world.ended(&urgent.id).await.status, JobState::Completed);
    assert!(worker.seen.stops.lock().unwrap().len() > 1, "its first word, that nothing runs, was taken for the last");
    worker.seen.reads_late.store(false, std::sync::atomic::Ordering::SeqCst);
    world.until(&slow.id, "running again", |view| view.attempts == 2).await;
    worker.release();
    assert_eq!(world.ended(&slow.id).await.status, JobState::Completed);
    assert_eq!(worker.most_at_once(), 1, "two were on one slot");
    let calls: Vec<(String, u32)> = worker.calls().into_iter().map(|call| (call.job, call.attempt)).collect();
    let id = |job: &domain::control::JobRequest| job.id.to_string();
    assert_eq!(calls, [(id(&slow), 1), (id(&urgent), 1), (id(&slow), 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_stop_endpoint_the_call_is_hung_up() {
    let world = World::with(|config| config.policy.min_runtime_ms = 0).await;
    let worker = Worker::start().await;
    world.register("a", &worker.url, "render", |_| {}).await;
    let mut slow = world.job("render", &json!({"wait": true}));
    slow.priority = 5;
    world.submit(&slow).await;
    world.until_state(&slow.id, JobState::Running).await;
    worker.until_at_work(1).await;
    let mut urgent = world.job("render", &json!({"urgent": true}));
    urgent.priority = 1;
    world.submit(&urgent).await;
    assert_eq!(world.ended(&urgent.id).await.status, JobState::Completed);
    world.until(&slow.id, "running again", |view| view.attempts == 2 && view.status == JobState::Running).await;
    worker.release();
    assert_eq!(world.ended(&slow.id).await.status, JobState::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_answers_with_a_result_while_it_is_stopped_is_completed() {
    let world = World::with(|config| config.policy.min_runtime_ms = 0).await;
    let worker = Worker::start().await;
    worker.seen.slow_to_say_so.store(true, Ordering::SeqCst);
    world.register("a", &worker.url, "render", |record| record.more.stop_endpoint = Some("/stop".to_owned())).await;
    let mut nearly_done = world.job("render", &json!({"wait": true, "when_stopped": "answer"}));
    nearly_done.priority = 5;
    world.submit(&nearly_done).await;
    world.until_state(&nearly_done.id, JobState::Running).await;
    worker.until_at_work(1).await;
    let mut urgent = world.job("render", &json!({"urgent": true}));
    urgent.priority = 1;
    world.submit(&urgent).await;
    let ended = world.ended(&nearly_done.id).await;
    assert_eq!((ended.status, ended.attempts, ended.preempt_count), (JobState::Completed, 1, 0), "{ended:?}");
    assert_eq!(world.ended(&urgent.id).await.status, JobState::Completed);
    assert_eq!(worker.calls().len(), 2, "it was done and is not done again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_may_preempt_whatever_the_priorities_are() {
    let (world, worker) = (World::start().await, Worker::start().await);
    world.register("a", &worker.url, "render", |_| {}).await;
    let running = world.run("render", &json!({"wait": true})).await;
    world.until_state(&running, JobState::Running).await;
    let progress = json!({"percent": 40}).as_object().unwrap().clone();
    let report = Order::ReportProgress { job: running.clone(), attempt: None, progress, snapshot: None };
    assert!(matches!(world.order(report).await, Answer::Job(_)));
    let waiting = world.run("render", &json!({"x": 1})).await;
    world.until_state(&waiting, JobState::Queued).await;
    let answer = world.order(Order::Preempt { service: "a".into(), by: waiting.clone() }).await;
    let saved =
        |answer: &Answer| matches!(answer, Answer::Preempting { job, progress_saved: true, .. } if job.id == running);
    assert!(saved(&answer), "{answer:?}");
    assert_eq!(world.ended(&waiting).await.status, JobState::Completed);
    world.until(&running, "running again", |view| view.attempts == 2).await;
    worker.release();
    assert_eq!(world.ended(&running).await.status, JobState::Completed);
    assert!(worker.calls()[2].resume_progress.as_ref().unwrap().contains("\"percent\":40"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_takes_too_long_is_stopped_and_says_so() {
    let (world, worker) = (World::start().await, Worker::start().await);
    world.register("a", &worker.url, "render", |_| {}).await;
    let mut request = world.job("render", &json!({"wait": true}));
    (request.timeout_ms, request.max_attempts) = (Some(50), 1);
    world.submit(&request).await;
    let view = world.ended(&request.id).await;
    assert_eq!(view.status, JobState::Failed);
    assert!(view.error.unwrap().contains("longer than its time limit"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_services_time_limit_ends_each_attempt_before_the_next_begins_and_the_error_says_so() {
    let (world, worker) = (World::start().await, Worker::start().await);
    let patient = |record: &mut domain::control::ServiceRecord| record.more.job_timeout_ms = 60_000;
    world.register("patient", &worker.url, "patient", patient).await;
    let hasty = Worker::start().await;
    world.register("hasty", &hasty.url, "hasty", |record| record.more.job_timeout_ms = 1_000).await;
    let mut request = world.job("hasty", &json!({"wait": true}));
    (request.retry_first_ms, request.max_attempts) = (Some(500), 3);
    world.submit(&request).await;
    let slow = world.run("patient", &json!({"sleep_ms": 1_500})).await;
    let view = world.ended(&request.id).await;
    assert_eq!((view.status, view.attempts), (JobState::Failed, 3));
    assert!(view.error.as_ref().unwrap().contains("longer than its time limit"), "{view:?}");
    assert_eq!((hasty.calls().len(), hasty.most_at_once()), (3, 1), "an attempt that was given up went on");
    let view = world.ended(&slow).await;
    assert_eq!((view.status, view.attempts), (JobState::Completed, 1), "each service has a limit of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_job_can_be_cancelled_and_does_not_come_back() {
    let world = World::with(|config| config.policy.min_runtime_ms = 0).await;
    let worker = Worker::start().await;
    world.register("a", &worker.url, "render", |_| {}).await;
    let mut slow = world.job("render", &json!({"wait": true}));
    slow.priority = 5;
    world.submit(&slow).await;
    world.until_state(&slow.id, JobState::Running).await;
    worker.until_at_work(1).await;
    let mut urgent = world.job("render", &json!({"wait": true}));
    urgent.priority = 1;
    world.submit(&urgent).await;
    let paused = world.until_state(&slow.id, JobState::Paused).await;
    assert_eq!(paused.paused_by_job_id.as_ref(), Some(&urgent.id));
    let answer = world.order(Order::CancelJob { job: slow.id.clone(), running: false }).await;
    assert!(matches!(&answer, Answer::Job(view) if view.status == JobState::Cancelled), "{answer:?}");
    world.until_state(&urgent.id, JobState::Running).await;
    worker.until_at_work(1).await;
    worker.release();
    assert_eq!(world.ended(&urgent.id).await.status, JobState::Completed);
    let after = world.run("render", &json!({"x": 1})).await;
    assert_eq!(world.ended(&after).await.status, JobState::Completed);
    let sent: Vec<String> = worker.calls().into_iter().map(|call| call.job).collect();
    assert_eq!(sent, [&slow.id, &urgent.id, &after].map(|id| id.as_str().to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_the_service_reported_is_given_back_after_a_failure() {
    let (world, worker) = (World::start().await, Worker::start().await);
    world.register("a", &worker.url, "render", |_| {}).await;
    let mut request = world.job("render", &json!({"wait": true, "fails": 1}));
    request.retry_first_ms = Some(10);
    world.submit(&request).await;
    world.until_state(&request.id, JobState::Running).await;
    let report = Order::ReportProgress {
        job: request.id.clone(),
        attempt: Some(1),
        progress: json!({"step": 3}).as_object().unwrap().clone(),
        snapshot: Some(crate::world::payload(&json!({"at": 3}))),
    };
    assert!(matches!(world.order(report).await, Answer::Job(view) if view.has_snapshot));
    worker.release();
    world.until(&request.id, "running again", |view| view.attempts == 2).await;
    worker.release();
    assert_eq!(world.ended(&request.id).await.status, JobState::Completed);
    let resumed: Value = serde_json::from_str(worker.calls()[1].resume.as_deref().unwrap()).unwrap();
    assert_eq!(resumed, json!({"at": 3}));
    let detail = world.control.job(&request.id, crate::world::SOON).await.unwrap().unwrap();
    assert_eq!(detail.snapshot.unwrap().get(), r#"{"at":3}"#);
}
