//! The life of a job that nobody disturbs.

use crate::worker::Worker;
use crate::world::{SOON, World, payload};
use bus::TraceContext;
use bus::control::Submitted;
use domain::control::{JobFilter, JobId, JobState, NoticeKind, ProgressMode};
use futures::StreamExt;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_sent_verbatim_and_its_answer_is_kept() {
    let (world, worker) = (World::start().await, Worker::start().await);
    world.register("a", &worker.url, "render", |_| {}).await;
    let mut request = world.job("render", &json!({}));
    let exact = "{ \"n\":1.50,\n  \"b\": [ ],\"a\":\"é\" }";
    request.payload = serde_json::from_str(exact).unwrap();
    world.submit(&request).await;
    let view = world.ended(&request.id).await;
    assert_eq!((view.status, view.attempts), (JobState::Completed, 1), "{view:?}");
    assert_eq!(view.service_name.unwrap().as_str(), "a");
    let call = &worker.calls()[0];
    assert_eq!((call.path.as_str(), call.body.as_str()), ("/process", exact));
    assert_eq!((call.job.as_str(), call.attempt), (request.id.as_str(), 1));
    assert!(call.deadline.ends_with('Z'), "{call:?}");
    let detail = world.control.job(&request.id, SOON).await.unwrap().unwrap();
    assert_eq!(detail.payload.get(), exact);
    let result: Value = serde_json::from_str(detail.result.unwrap().get()).unwrap();
    assert_eq!(result["echo"]["n"], 1.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_follows_the_type_or_what_was_registered() {
    let (world, worker) = (World::start().await, Worker::start().await);
    for (name, kind, path) in [
        ("a", "llm", "/v1/chat/completions"),
        ("b", "code-runner", "/execute"),
        ("c", "anything", "/process"),
        ("d", "own", "/my/path"),
    ] {
        let own = (kind == "own").then(|| path.to_owned());
        world.register(name, &worker.url, kind, |record| record.more.job_endpoint = own).await;
        let job = world.run(kind, &json!({"x": 1})).await;
        assert_eq!(world.ended(&job).await.status, JobState::Completed);
        assert_eq!(worker.calls().last().unwrap().path, path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_op_job_takes_milliseconds() {
    let (world, worker) = (World::start().await, Worker::start().await);
    world.register("a", &worker.url, "noop", |_| {}).await;
    let mut took = Vec::new();
    for _ in 0..60 {
        let began = Instant::now();
        let job = world.run("noop", &json!({"x": 1})).await;
        assert_eq!(world.ended(&job).await.status, JobState::Completed);
        took.push(began.elapsed());
    }
    took.sort();
    eprintln!("submit to completed: p50 {:?}, p90 {:?}, max {:?}", took[30], took[54], took[59]);
    assert!(took[30] < Duration::from_millis(250), "p50 is {:?}", took[30]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_is_made_again_after_a_pause_and_its_error_says_what_the_service_said() {
    let (world, worker) = (World::start().await, Worker::start().await);
    world.register("a", &worker.url, "render", |_| {}).await;
    let mut request = world.job("render", &json!({"fails": 1}));
    request.retry_first_ms = Some(20);
    world.submit(&request).await;
    let view = world.ended(&request.id).await;
    assert_eq!((view.status, view.attempts, view.failures), (JobState::Completed, 2, 1), "{view:?}");
    assert!(view.error.unwrap().contains("500: the GPU is on fire"));
    let mut request = world.job("render", &json!({"fails": 9}));
    (request.retry_first_ms, request.max_attempts) = (Some(10), 2);
    world.submit(&request).await;
    let view = world.ended(&request.id).await;
    assert_eq!((view.status, view.attempts), (JobState::Failed, 2));
    let mut request = world.job("render", &json!({"says": "nonsense"}));
    request.max_attempts = 1;
    world.submit(&request).await;
    assert!(world.ended(&request.id).await.error.unwrap().contains("no JSON"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_too_long_expires_and_is_remembered() {
    let world = World::start().await;
    let mut request = world.job("nobody-does-this", &json!({"x": 1}));
    request.ttl_seconds = Some(5);
    let sequence = world.submit(&request).await;
    let view = world.control.seen(&request.id, sequence, SOON).await.unwrap().unwrap();
    let waiting = view.waiting.unwrap();
    assert_eq!((view.status, waiting.position), (JobState::Queued, Some(1)));
    assert!(waiting.text.contains("nobody-does-this"), "{}", waiting.text);
    assert_eq!(world.ended(&request.id).await.status, JobState::Expired);
    assert!(world.told().await.iter().any(|notice| notice.kind == NoticeKind::JobExpired));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_urgent_go_first_and_then_the_older() {
    let (world, worker) = (World::start().await, Worker::start().await);
    world.register("a", &worker.url, "render", |_| {}).await;
    let first = world.run("render", &json!({"wait": true})).await;
    world.until_state(&first, JobState::Running).await;
    let mut ids = Vec::new();
    for priority in [4, 3, 3, 2] {
        let mut request = world.job("render", &json!({ "p": priority }));
        request.priority = priority;
        let sequence = world.submit(&request).await;
        world.control.seen(&request.id, sequence, SOON).await.unwrap().unwrap();
        ids.push(request.id);
    }
    let waiting = world.control.job_view(&ids[0], SOON).await.unwrap().unwrap().waiting.unwrap();
    assert_eq!(waiting.position, Some(4));
    assert_eq!(waiting.reason["because"], "slots_busy");
    worker.release();
    for id in &ids {
        world.ended(id).await;
    }
    let order: Vec<String> = worker.calls().into_iter().skip(1).map(|call| call.job).collect();
    let wanted = [&ids[3], &ids[1], &ids[2], &ids[0]].map(|id| id.as_str().to_owned());
    assert_eq!(order, wanted);
    assert_eq!(worker.most_at_once(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_one_job_for_ever_and_another_request_under_it_is_a_conflict() {
    let world = World::start().await;
    let id = world.control.job_id_of("order-17");
    let mut request = world.job("render", &json!({"x": 1}));
    request.id = id.clone();
    let trace = TraceContext::default();
    let Submitted::Accepted { sequence, repeated: false } = world.control.submit(&request, &trace).await.unwrap()
    else {
        panic!("it is new")
    };
    request.submitted_at = crate::world::now();
    let again = world.control.submit(&request, &trace).await.unwrap();
    assert_eq!(again, Submitted::Accepted { sequence, repeated: true });
    request.payload = payload(&json!({"x": 2}));
    assert_eq!(world.control.submit(&request, &trace).await.unwrap(), Submitted::Conflict);
    // A list shows what was taken in; the job is stored, and may not be yet.
    world.control.seen(&id, sequence, SOON).await.unwrap().unwrap();
    let (jobs, next) = world.control.jobs(JobFilter { limit: 10, ..JobFilter::default() }, SOON).await.unwrap();
    assert_eq!((jobs.len(), next), (1, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_works_at_as_many_jobs_at_once_as_it_says() {
    let (world, worker) = (World::start().await, Worker::start().await);
    world.register("a", &worker.url, "render", |record| record.more.max_concurrency = 4).await;
    let mut ids = Vec::new();
    for n in 0..8 {
        ids.push(world.run("render", &json!({"wait": true, "n": n})).await);
    }
    world.until_state(&ids[3], JobState::Running).await;
    worker.until_at_work(4).await;
    assert_eq!(world.control.job_view(&ids[4], SOON).await.unwrap().unwrap().status, JobState::Queued);
    let deadline = Instant::now() + SOON;
    while !ids.is_empty() {
        worker.release();
        let id = ids[0].clone();
        let view = world.control.job_ended(&id, Duration::from_millis(20)).await.unwrap().unwrap();
        if view.status.is_terminal() {
            ids.remove(0);
        }
        assert!(Instant::now() < deadline, "{view:?}");
    }
    assert_eq!(worker.most_at_once(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_asked_for_in_poll_mode() {
    let world = World::with(|config| config.poll_every = Duration::from_millis(20)).await;
    let worker = Worker::start().await;
    let poll = |record: &mut domain::control::ServiceRecord| {
        record.progress_mode = ProgressMode::Poll;
        record.progress_endpoint = Some("/progress".to_owned());
    };
    world.register("a", &worker.url, "render", poll).await;
    let job = world.run("render", &json!({"wait": true})).await;
    let view = world.until(&job, "showing progress", |view| view.progress.is_some()).await;
    let progress = view.progress.unwrap();
    assert_eq!(progress["total"], 2);
    assert!(progress.contains_key("updated_at"));
    worker.release();
    assert_eq!(world.ended(&job).await.status, JobState::Completed);
}

async fn submit_one(world: &World, n: usize) -> JobId {
    world.run("noop", &json!({ "n": n })).await
}

fn per_second(count: usize, since: Instant) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / since.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_at_once_lose_nothing() {
    const CLIENTS: usize = 16;
    const EACH: usize = 100;
    let (world, worker) = (World::start().await, Worker::start().await);
    world.register("a", &worker.url, "noop", |record| record.more.max_concurrency = 64).await;
    let began = Instant::now();
    let clients = (0..CLIENTS).map(async |client| {
        for n in 0..EACH {
            let job = world.run("noop", &json!({"client": client, "n": n})).await;
            assert_eq!(world.ended(&job).await.status, JobState::Completed);
        }
    });
    futures::future::join_all(clients).await;
    let took = began.elapsed();
    eprintln!("{} jobs of {CLIENTS} clients in {took:?}: {:.0}/s", CLIENTS * EACH, per_second(CLIENTS * EACH, began));
    assert_eq!(worker.calls().len(), CLIENTS * EACH, "each job was sent once");
    let began = Instant::now();
    let jobs = (0..CLIENTS * EACH).map(|n| submit_one(&world, n));
    let ids: Vec<_> = futures::stream::iter(jobs).buffer_unordered(64).collect().await;
    eprintln!("submitted at {:.0}/s", per_second(ids.len(), began));
    for id in &ids {
        assert_eq!(world.ended(id).await.status, JobState::Completed);
    }
    eprintln!("completed at {:.0}/s", per_second(ids.len(), began));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_job_runs_where_it_says_and_every_job_says_where_it_ran() {
    let (world, one, two) = (World::start().await, Worker::start().await, Worker::start().await);
    world.register("ta", &one.url, "render", |_| {}).await;
    world.register("tb", &two.url, "render", |_| {}).await;
    let pinned = |body: &Value| {
        let mut request = world.job("render", body);
        request.service_name = Some("tb".into());
        request
    };
    let (first, second) = (pinned(&json!({"wait": true})), pinned(&json!({"x": 1})));
    world.submit(&first).await;
    let running = world.until_state(&first.id, JobState::Running).await;
    assert_eq!((running.pinned, running.service_name.as_ref().unwrap().as_str()), (true, "tb"));
    world.submit(&second).await;
    let waiting = world.until(&second.id, "explained", |view| view.waiting.is_some()).await;
    assert!(waiting.waiting.unwrap().text.contains("tb"), "another service of the type is idle, and is not taken");
    let anywhere = world.run("render", &json!({"x": 1})).await;
    let ended = world.ended(&anywhere).await;
    assert_eq!((ended.pinned, ended.service_name.unwrap().as_str()), (false, "ta"));
    two.release();
    for job in [&first.id, &second.id] {
        assert_eq!(world.ended(job).await.service_name.unwrap().as_str(), "tb");
    }
    assert_eq!((one.calls().len(), two.calls().len()), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_services_of_one_type_as_there_are_work_at_the_same_time() {
    const SERVICES: usize = 4;
    let (world, mut workers) = (World::start().await, Vec::new());
    for n in 0..SERVICES {
        let worker = Worker::start().await;
        world.register(&format!("s{n}"), &worker.url, "render", |_| {}).await;
        workers.push(worker);
    }
    let mut ids = Vec::new();
    for n in 0..SERVICES {
        ids.push(world.run("render", &json!({"wait": true, "n": n})).await);
    }
    // None of them ends before all of them run.
    for id in &ids {
        world.until_state(id, JobState::Running).await;
    }
    for worker in &workers {
        worker.until_at_work(1).await;
    }
    workers.iter().for_each(Worker::release);
    for id in &ids {
        assert_eq!(world.ended(id).await.status, JobState::Completed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_counts_the_jobs_that_compete_and_no_others() {
    let (world, worker) = (World::start().await, Worker::start().await);
    world.register("a", &worker.url, "render", |_| {}).await;
    let running = world.run("render", &json!({"wait": true})).await;
    world.until_state(&running, JobState::Running).await;
    for _ in 0..5 {
        let mut other = world.job("of-another-type", &json!({"x": 1}));
        other.priority = 0;
        world.submit(&other).await;
    }
    let (first, second) = (world.run("render", &json!({"x": 1})).await, world.run("render", &json!({"x": 2})).await);
    let place = async |job: &JobId| {
        let view = world.until(job, "explained", |view| view.waiting.is_some()).await;
        let waiting = view.waiting.unwrap();
        (waiting.position.unwrap(), waiting.position_overall.unwrap())
    };
    assert_eq!((place(&first).await, place(&second).await), ((1, 6), (2, 7)));
    worker.release();
    world.ended(&running).await;
    world.ended(&second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_jobs_are_forgotten_with_all_that_is_stored_of_them_and_others_are_not() {
    let world = World::with(|config| config.remembered = 3).await;
    let worker = Worker::start().await;
    world.register("a", &worker.url, "render", |_| {}).await;
    let mut waiting = world.job("nobody-does-this", &json!({"x": 1}));
    waiting.ttl_seconds = None;
    world.submit(&waiting).await;
    let mut ids = Vec::new();
    for n in 0..6 {
        let id = world.run("render", &json!({ "n": n })).await;
        assert_eq!(world.ended(&id).await.status, JobState::Completed);
        ids.push(id);
    }
    let listed = async || world.control.jobs(JobFilter { limit: 10, ..JobFilter::default() }, SOON).await.unwrap().0;
    let deadline = Instant::now() + SOON;
    while listed().await.len() > 4 {
        assert!(Instant::now() < deadline, "nothing is forgotten");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let left: Vec<JobId> = listed().await.into_iter().map(|view| view.id).collect();
    assert_eq!(left, [&ids[5], &ids[4], &ids[3], &waiting.id].map(Clone::clone));
    while world.bus.job_documents().end(&ids[0]).await.unwrap().is_some() {
        assert!(Instant::now() < deadline, "the result of a forgotten job is kept");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(world.bus.job_documents().end(&ids[5]).await.unwrap().is_some());
}
