//! The moments at which somebody is killed: a container starts, jobs are being sent, a job makes way.

use super::faults::{Victim, strike};
use super::fleet::{Fleet, read, submit, until_job};
use futures::future::join_all;
use serde_json::Value;
use testkit::{SOON, until};

/// What is under way when somebody is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    Start,
    Dispatch,
    Preemption,
}

pub(crate) const MOMENTS: [Moment; 3] = [Moment::Start, Moment::Dispatch, Moment::Preemption];

/// Brings the moment about and kills somebody in the middle of it. What was submitted is acknowledged at the end.
pub(crate) async fn meet(fleet: &mut Fleet, moment: Moment, victim: Victim) {
    match moment {
        Moment::Start => start(fleet, victim).await,
        Moment::Dispatch => dispatch(fleet, victim).await,
        Moment::Preemption => preemption(fleet, victim).await,
    }
}

/// More urgent than services are by themselves, so that nobody's room is kept for a while in case more work comes.
const LESS_URGENT: i64 = 2;
const URGENT: i64 = 0;

/// A service that is stopped gets jobs, for which another may have to be stopped first.
async fn start(fleet: &mut Fleet, victim: Victim) {
    let (kind, name) = stopped(fleet).await;
    let (jobs, later) = ([fleet.job(kind, 20, LESS_URGENT), fleet.job(kind, 20, LESS_URGENT)], fleet.dice.moment(250));
    let begins = starts(fleet, &name);
    let client = fleet.client();
    let (ids, ()) = tokio::join!(submit_all(&client, &jobs), begins);
    fleet.jobs.extend(ids);
    tokio::time::sleep(later).await;
    strike(fleet, victim).await;
}

/// Kind and name of a service that is stopped. There is one soon, for not all of them fit; one that was being stopped
/// when its last job ended takes its time.
async fn stopped(fleet: &Fleet) -> (&'static str, String) {
    let client = fleet.client();
    until("a service to be stopped", SOON, async || {
        let services = read(&client, "//services").await;
        let state = |name: &str| services["services"][name]["state"].clone();
        let stopped = fleet.services.iter().find(|service| state(&service.name) == "stopped");
        stopped.map(|service| (service.kind, service.name.clone())).ok_or_else(|| services.to_string())
    })
    .await
}

/// Waits until the start of a service is under way, or over.
async fn starts(fleet: &Fleet, name: &str) {
    let client = fleet.client();
    until(&format!("{name} to start"), SOON, async || {
        let service = read(&client, &format!("//services/{name}")).await;
        if service["state"] == "stopped" { Err(service.to_string()) } else { Ok(()) }
    })
    .await;
}

/// All services get short jobs at once, more than they have slots.
async fn dispatch(fleet: &mut Fleet, victim: Victim) {
    let kinds: Vec<&'static str> = fleet.services.iter().map(|service| service.kind).collect();
    let mut jobs = Vec::new();
    for _ in 0..12 {
        let (kind, work, priority) = (*fleet.dice.pick(&kinds), fleet.dice.roll(40), fleet.dice.roll(3));
        jobs.push(fleet.job(kind, work, priority.try_into().unwrap()));
    }
    struck_while(fleet, &jobs, 80, victim).await;
}

/// A long job runs and an urgent one comes.
async fn preemption(fleet: &mut Fleet, victim: Victim) {
    let kinds: Vec<&'static str> = fleet.services.iter().map(|service| service.kind).collect();
    let kind = *fleet.dice.pick(&kinds);
    let long = fleet.job(kind, 800, LESS_URGENT);
    let client = fleet.client();
    let id = submit(&client, &long).await;
    fleet.jobs.push(id.clone());
    until_job(&client, &id, "running", |job| job["status"] != "queued").await;
    let urgent = [fleet.job(kind, 10, URGENT), fleet.job(kind, 10, URGENT)];
    struck_while(fleet, &urgent, 120, victim).await;
}

/// Submits jobs and, within so many milliseconds, kills somebody.
async fn struck_while(fleet: &mut Fleet, jobs: &[Value], within_ms: u64, victim: Victim) {
    let (client, later) = (fleet.client(), fleet.dice.moment(within_ms));
    let fault = async {
        tokio::time::sleep(later).await;
        strike(fleet, victim).await;
    };
    let (ids, ()) = tokio::join!(submit_all(&client, jobs), fault);
    fleet.jobs.extend(ids);
}

async fn submit_all(client: &testkit::Client, jobs: &[Value]) -> Vec<String> {
    join_all(jobs.iter().map(|job| submit(client, job))).await
}
