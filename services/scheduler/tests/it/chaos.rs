//! Leaders die again and again while jobs run, fail, preempt each other and resume.

use crate::worker::Worker;
use crate::world::{SOON, World};
use domain::control::{JobState, JobView};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Numbers that look random and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_every_job_ends_once_and_no_slot_is_doubled() {
    let mut world = World::with(|config| {
        config.policy.min_runtime_ms = 20;
        config.snapshot_every = 40;
    })
    .await;
    world.scheduler().await;
    let workers = [Worker::start().await, Worker::start().await];
    for (worker, name) in workers.iter().zip(["a", "b"]) {
        let two = |record: &mut domain::control::ServiceRecord| {
            record.more.max_concurrency = 2;
            record.more.stop_endpoint = Some("/stop".to_owned());
        };
        world.register(name, &worker.url, "render", two).await;
    }
    let seed = std::process::id().into();
    eprintln!("seed {seed}");
    let mut dice = Dice(seed);
    let mut ids = Vec::new();
    for _ in 0..3 {
        for _ in 0..25 {
            let body = json!({"fails": dice.roll(3) / 2, "sleep_ms": dice.roll(60)});
            let mut request = world.job("render", &body);
            request.priority = i32::try_from(dice.roll(8)).unwrap();
            (request.retry_first_ms, request.max_attempts) = (Some(5), 1_000);
            world.submit(&request).await;
            ids.push(request.id);
        }
        tokio::time::sleep(Duration::from_millis(dice.roll(150))).await;
        world.kill_first();
        world.scheduler().await;
    }
    let deadline = Instant::now() + 3 * SOON;
    let mut ends: Vec<JobView> = Vec::new();
    for id in &ids {
        let view = world.control.job_ended(id, deadline - Instant::now()).await.unwrap().unwrap();
        assert_eq!(view.status, JobState::Completed, "{view:?}");
        ends.push(view);
    }
    let mut sent: BTreeMap<(String, u32), usize> = BTreeMap::new();
    for call in workers.iter().flat_map(Worker::calls) {
        *sent.entry((call.job, call.attempt)).or_default() += 1;
    }
    assert!(sent.values().all(|times| *times == 1), "seed {seed}: an attempt was sent twice: {sent:?}");
    for worker in &workers {
        assert!(worker.most_at_once() <= 2, "seed {seed}: {} in two slots", worker.most_at_once());
    }
    let told = world.told().await;
    for id in &ids {
        let about = |notice: &&domain::control::Notice| {
            notice.kind.is_job_end() && notice.job.as_ref().is_some_and(|job| job.id == *id)
        };
        assert_eq!(told.iter().filter(about).count(), 1, "seed {seed}: the end of {id}");
    }
    eprintln!("preempted {} times", ends.iter().map(|view| view.preempt_count).sum::<u32>());
}
