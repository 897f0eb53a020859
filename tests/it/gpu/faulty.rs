//! Services in containers that do nothing, fail, hold more than they said, never come up and do not stop: what becomes
//! of their jobs, of their room, and of everybody else.

use crate::gpu::world::{World, name_of};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use testkit::{GPU_MB, SOON, Tally, free_port, until};

#[tokio::test]
async fn jobs_that_do_nothing_take_milliseconds_in_a_container() {
    let mut world = World::start().await;
    world.service("noop", &[], json!({})).await;
    let client = world.client();
    let job = json!({"service_type": "noop", "payload": {"x": 1}});
    let first = client.submit(&job).await;
    client.until_job_is(&first, "completed").await;
    let mut took = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        let id = client.submit(&job).await;
        let done = client.get(&format!("//queue/{id}?wait_s=20")).await.good();
        assert_eq!((&done["status"], &done["attempts"]), (&json!("completed"), &json!(1)), "{done}");
        took.push(began.elapsed());
    }
    took.sort();
    println!("submission to result in a container: p50 {:?}, max {:?}", took[10], took[19]);
    assert!(took[10] < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_service_that_fails_is_asked_again_after_growing_waits_and_then_the_job_has_failed() {
    let mut world = World::start().await;
    let tally = Tally::start();
    let name = world.service("failing", &["fail=100", &tally.argument()], json!({})).await;
    let client = world.client();
    let job = |payload: Value| json!({"service_type": "failing", "payload": payload, "max_attempts": 3, "retry_first_ms": 300});
    let began = Instant::now();
    let id = client.submit(&job(json!({"x": 1}))).await;
    let failed = client.until_job_is(&id, "failed").await;
    assert!(began.elapsed() >= Duration::from_millis(300 + 600), "it was asked again at once");
    assert_eq!((&failed["attempts"], &failed["failures"]), (&json!(3), &json!(3)), "{failed}");
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("500") && error.contains("as it was told"), "{error}");
    let good = client.submit(&job(json!({"fail": 0, "x": 2}))).await;
    client.until_job_is(&good, "completed").await;
    let ends: Vec<String> = tally.worked().into_iter().filter_map(|worked| worked.end).collect();
    assert_eq!(ends, ["failed", "failed", "failed", "completed"]);
    assert_eq!(client.service(&name).await["failed_starts"], 0, "its container is not to blame");
}

#[tokio::test]
async fn a_service_that_never_becomes_healthy_is_given_up_and_its_room_given_away() {
    let mut world = World::start().await;
    let hasty = json!({"vram_gb": 6, "start_timeout_ms": 700, "stop_grace_ms": 0});
    let never = world.service("never", &["health=never"], hasty).await;
    world.service("good", &[], json!({"vram_gb": 6})).await;
    let client = world.client();
    let stuck = client.submit(&json!({"service_type": "never", "payload": {"x": 1}})).await;
    client.until_service(&never, "starting", |service| service["state"] == "starting").await;
    let other = client.submit(&json!({"service_type": "good", "payload": {"x": 2}})).await;
    let told = |job: &Value| job["waiting"]["reason"]["because"] == "start_failed";
    let waiting = client.until_job(&stuck, "told why", told).await;
    assert_eq!((&waiting["status"], &waiting["attempts"]), (&json!("queued"), &json!(0)), "{waiting}");
    let text = waiting["waiting"]["text"].as_str().unwrap();
    assert!(text.contains(&never) && text.contains("failed to start"), "{text}");
    client.until_job_is(&other, "completed").await;
    let given_up = client.service(&never).await;
    assert!(given_up["failed_starts"].as_u64() >= Some(1) && given_up["last_error"].is_string(), "{given_up}");
    client.delete(&format!("//queue/{stuck}")).await.good();
    let free = client.until_service(&never, "stopped", |service| service["container_running"] == false).await;
    assert_eq!(free["reserved_mb"], 0, "{free}");
    assert!(!world.is_running(&never).await);
}

#[tokio::test]
async fn memory_that_is_measured_counts_more_than_what_was_declared() {
    const HELD: u64 = 6_000;
    let engine = testkit::Engine::shared().await;
    let (image, name, port) = (engine.with_service().await, name_of("holds"), free_port());
    let _cleanup = engine.cleanup(&name);
    let arguments = ["serve", &port.to_string(), "memory=64"].map(str::to_owned);
    let pid = engine.start_by_hand(&name, &image, &arguments).await;
    // The figures are a recording's; that they are this container's is found out from the real process.
    let measured = |value: Value| json!({"is": "measured", "value": value});
    let device = json!({
        "id": "GPU-0", "index": 0, "name": "Simulated GPU", "total_mb": measured(json!(GPU_MB)),
        "used_mb": measured(json!(HELD)), "free_mb": measured(json!(GPU_MB - HELD)),
        "utilisation_percent": measured(json!(0)), "temperature_c": measured(json!(40)), "power_w": measured(json!(25.0)),
        "processes": measured(json!([{"pid": pid, "name": null, "kind": "compute", "memory_mb": measured(json!(HELD))}])),
    });
    let recording = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&recording, json!({"at_ms": 0, "devices": [device]}).to_string()).unwrap();
    let path = recording.path().display().to_string();
    let mut world = World::with(|builder| builder.env("GANTRY_GPU_RECORDING", &path)).await;
    let record = json!({"name": name, "container": name, "port": port, "type": "holds", "vram_gb": 1});
    world.client().register(&record).await;
    let learned = |service: &Value| service["learned_peak_mb"] == HELD;
    let seen = world.client().until_service(&name, "measured", learned).await;
    assert_eq!((&seen["container_running"], &seen["vram_gb"]), (&json!(true), &json!(1.0)), "{seen}");
    // Beside one of 1 GB, as it was declared, both of these had room.
    world.service("big", &[], json!({"vram_gb": 3})).await;
    let small = world.service("small", &[], json!({"vram_gb": 1})).await;
    let client = world.client();
    let refused = client.submit(&json!({"service_type": "big", "payload": {"x": 1}})).await;
    let no_room = |job: &Value| job["waiting"]["reason"]["because"] == "no_room";
    let waiting = client.until_job(&refused, "told why", no_room).await;
    let text = waiting["waiting"]["text"].as_str().unwrap();
    assert!(text.contains("needs 3072 MB") && text.contains(&name), "{text}");
    let fits = client.submit(&json!({"service_type": "small", "payload": {"x": 1}})).await;
    assert_eq!(client.until_job_is(&fits, "completed").await["service_name"], json!(small));
}

/// Asks for `/health` again and again until a job has ended, and says how long the slowest answer took.
async fn slowest_health(world: &World, job: &str) -> Duration {
    let mut slowest = Duration::ZERO;
    until(&format!("job {job} to be completed"), 2 * SOON, async || {
        let began = Instant::now();
        world.client().get("//health").await.good();
        slowest = slowest.max(began.elapsed());
        let job = world.client().job(job).await;
        if job["status"] == "completed" { Ok(()) } else { Err(job.to_string()) }
    })
    .await;
    slowest
}

#[tokio::test]
async fn a_service_that_does_not_stop_loses_its_container_and_holds_up_nobody() {
    let mut world = World::with(|builder| builder.env("GANTRY_INTERRUPT_GRACE_MS", "500")).await;
    let deaf = (&["deaf=yes"][..], json!({"stop_grace_ms": 6_000}));
    let silent = (&["deaf=yes", "stop=never"][..], json!({"stop_grace_ms": 0, "stop_endpoint": "/stop"}));
    for (kind, (words, more)) in [("deaf", deaf), ("silent", silent)] {
        let tally = Tally::start();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).chain([tally.argument()]).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let name = world.service(kind, &words, more).await;
        let client = world.client();
        let job = |work: u32, priority: i32| json!({"service_type": kind, "payload": {"work_ms": work}, "priority": priority});
        let long = client.submit(&job(600_000, 5)).await;
        client.until_job_is(&long, "running").await;
        until("the job to be at work", SOON, async || {
            if tally.at_work() == 1 { Ok(()) } else { Err(format!("{:?}", tally.worked())) }
        })
        .await;
        let before = client.service(&name).await;
        let urgent = client.submit(&job(10, 0)).await;
        let slowest = slowest_health(&world, &urgent).await;
        println!("{kind}: the slowest health check while its container was stopped took {slowest:?}");
        assert!(slowest < Duration::from_secs(5), "{kind}: everything stood still for {slowest:?}");
        let worked = tally.worked();
        assert_eq!(tally.most_at_once(), 1, "{kind}: {worked:?}");
        let ends: Vec<_> = worked.iter().take(2).map(|one| (one.job.as_str(), one.end.as_deref())).collect();
        assert_eq!(ends, [(long.as_str(), Some("killed")), (urgent.as_str(), Some("completed"))], "{kind}");
        let victim = client.job(&long).await;
        assert_eq!((&victim["preempt_count"], &victim["failures"]), (&json!(1), &json!(0)), "{kind}: {victim}");
        assert_eq!(before["failed_starts"], client.service(&name).await["failed_starts"], "{kind}");
        client.delete(&format!("//queue/{long}?running=true")).await.good();
        client.until_job_is(&long, "cancelled").await;
    }
}

#[tokio::test]
async fn a_drain_that_is_not_over_in_time_says_so_and_its_job_is_queued_again() {
    let mut world = World::with(|builder| builder.env("GANTRY_DRAIN_TIMEOUT_MS", "300")).await;
    let more = json!({"stop_endpoint": "/stop", "stop_grace_ms": 0});
    let name = world.service("draining", &[], more).await;
    let client = world.client();
    let job = client.submit(&json!({"service_type": "draining", "payload": {"work_ms": 3_000}})).await;
    client.until_job_is(&job, "running").await;
    let stopped = client.post(&format!("//services/{name}/stop?drain=true"), &json!({})).await.good();
    assert_eq!((&stopped["status"], &stopped["drained"]), (&json!("stopped"), &json!(false)), "{stopped}");
    let warning = stopped["warning"].as_str().unwrap();
    assert!(warning.contains("queued again: 1") && warning.contains("disabled"), "{warning}");
    let done = client.until_job_is(&job, "completed").await;
    assert_eq!((&done["failures"], &done["error"]), (&json!(0), &Value::Null), "{done}");
    let result: Value = serde_json::from_str(done["result"].as_str().unwrap()).unwrap();
    assert!(result["resumed_from"].as_u64() > Some(0), "what it had done in {result} is lost");
}

#[tokio::test]
async fn an_attempt_over_its_time_limit_is_ended_with_its_container_before_the_next_begins() {
    let mut world = World::with(|builder| builder.env("GANTRY_INTERRUPT_GRACE_MS", "500")).await;
    let tally = Tally::start();
    let more = json!({"job_timeout_ms": 3_000, "stop_grace_ms": 0});
    world.service("endless", &["deaf=yes", "work=600000", &tally.argument()], more).await;
    let client = world.client();
    let job = json!({"service_type": "endless", "payload": {"x": 1}, "max_attempts": 2, "retry_first_ms": 0});
    let id = client.submit(&job).await;
    let failed = client.until_job_is(&id, "failed").await;
    assert_eq!((&failed["attempts"], &failed["failures"]), (&json!(2), &json!(2)), "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("longer than its time limit"), "{failed}");
    until("the last attempt to be over", SOON, async || {
        let worked = tally.worked();
        if worked.iter().all(|one| one.end.is_some()) { Ok(()) } else { Err(format!("{worked:?}")) }
    })
    .await;
    let ends: Vec<_> = tally.worked().into_iter().map(|worked| (worked.attempt, worked.at_once, worked.end)).collect();
    let killed = || Some("killed".to_owned());
    assert_eq!(ends, [(1, 1, killed()), (2, 1, killed())]);
}
