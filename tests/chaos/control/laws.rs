//! What must hold of jobs, slots and services, whoever was killed.

use super::fleet::{Fleet, Service, ended, read};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::{Client, SOON, until};

/// Panics unless every law holds.
pub(crate) async fn hold(fleet: &Fleet) {
    let client = fleet.client();
    for id in &fleet.jobs {
        let job = ended(&client, id).await;
        let history = history(&client, id).await;
        of_a_job(&job, &history);
        ran_as_it_says(&job, fleet);
    }
    fleet.services.iter().for_each(no_slot_was_doubled);
    no_job_that_nobody_submitted(fleet).await;
    nothing_is_stuck(fleet).await;
}

/// It has a result, which is that of its last attempt, and no kill counts as a failure of the job.
fn of_a_job(job: &Value, history: &[Value]) {
    let told = || format!("{job:#}\n{}", history.iter().map(|one| format!("  {one}\n")).collect::<String>());
    assert_eq!((&job["status"], &job["failures"]), (&json!("completed"), &json!(0)), "{}", told());
    let result: Value = serde_json::from_str(job["result"].as_str().unwrap()).unwrap();
    assert_eq!(result["attempt"], job["attempts"], "the result is of another attempt: {}", told());
    of_a_history(job, history, &told);
}

/// Each attempt follows the one before by one, with a reason in between; the end is one and last.
fn of_a_history(job: &Value, history: &[Value], told: &dyn Fn() -> String) {
    let (mut attempts, mut before) = (0, "nothing");
    for notice in history {
        let kind = notice["notice"].as_str().unwrap();
        let may_follow: &[&str] = match kind {
            "job_submitted" => &["nothing"],
            "job_started" => &["job_submitted", "job_requeued", "job_resumed"],
            "job_requeued" | "job_preempted" | "job_completed" => &["job_started"],
            "job_resumed" => &["job_preempted"],
            other => panic!("{other} is not expected: {}", told()),
        };
        assert!(may_follow.contains(&before), "{kind} follows {before}: {}", told());
        if kind == "job_started" {
            attempts += 1;
            assert_eq!(notice["job"]["attempts"], attempts, "an attempt is missing or told twice: {}", told());
        }
        before = kind;
    }
    assert_eq!((before, &job["attempts"]), ("job_completed", &json!(attempts)), "{}", told());
}

/// The notices of a job, as its event stream tells them from the beginning.
async fn history(client: &Client, id: &str) -> Vec<Value> {
    let path = format!("//queue/{id}/events?after=0");
    let answer = client.insist(&path, || client.request(Method::GET, &path)).await;
    let data = answer.text.lines().filter_map(|line| line.strip_prefix("data: "));
    let data = data.map(|text| serde_json::from_str::<Value>(text).unwrap());
    data.filter(|data| data["notice"].is_string()).collect()
}

/// What its service itself says of a job: no attempt was worked on twice, none that was not announced, and the last one
/// to its end.
fn ran_as_it_says(job: &Value, fleet: &Fleet) {
    let (id, attempts) = (job["id"].as_str().unwrap(), job["attempts"].as_u64().unwrap());
    let worked = fleet.services.iter().flat_map(|service| service.tally.worked());
    let worked: Vec<_> = worked.filter(|one| one.job == id).collect();
    let numbers: BTreeSet<u32> = worked.iter().map(|one| one.attempt).collect();
    assert_eq!(numbers.len(), worked.len(), "an attempt was worked on twice: {worked:?}");
    assert!(numbers.iter().all(|number| u64::from(*number) <= attempts), "{attempts} attempts, but {worked:?}");
    let last = worked.iter().find(|one| u64::from(one.attempt) == attempts);
    assert_eq!(last.and_then(|one| one.end.as_deref()), Some("completed"), "{worked:?}");
}

fn no_slot_was_doubled(service: &Service) {
    let worked = service.tally.worked();
    assert!(service.tally.most_at_once() <= 1, "the one slot of {} was doubled: {worked:?}", service.name);
}

async fn no_job_that_nobody_submitted(fleet: &Fleet) {
    let listed = read(&fleet.client(), "//queue?limit=1000").await;
    let listed: BTreeSet<&str> =
        listed["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect();
    assert_eq!(listed, fleet.jobs.iter().map(String::as_str).collect());
}

/// Services rest, the engine agrees, and no queue, slot or room is held.
async fn nothing_is_stuck(fleet: &Fleet) {
    let client = fleet.client();
    until("everything to rest", 2 * SOON, async || {
        let services = read(&client, "//services").await;
        for service in &fleet.services {
            let shown = &services["services"][&service.name];
            let up = match shown["state"].as_str().unwrap() {
                "idle" => true,
                "stopped" => false,
                _ => return Err(shown.to_string()),
            };
            let truly = fleet.engine.is_running(&service.name).await;
            if (up, json!(up), json!([])) != (truly, shown["container_running"].clone(), shown["active_jobs"].clone()) {
                return Err(format!("the engine says {truly}: {shown}"));
            }
            if !up && shown["reserved_mb"] != 0 {
                return Err(shown.to_string());
            }
        }
        let stats = read(&client, "//queue/stats").await;
        let ended = stats["by_status"]["completed"].as_u64().unwrap_or_default();
        let all = u64::try_from(fleet.jobs.len()).unwrap();
        if ended == all { Ok(()) } else { Err(stats.to_string()) }
    })
    .await;
}
