//! Who is killed, and how it comes back.

use super::fleet::Fleet;
use serde_json::Value;
use std::time::{Duration, Instant};
use testkit::{Client, SOON, until};

/// Who is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Victim {
    /// The scheduler that leads.
    Scheduler,
    Agent,
    Api,
    Broker,
    /// Everything, within a moment.
    All,
}

/// Kills it and starts it again.
pub(crate) async fn strike(fleet: &mut Fleet, victim: Victim) {
    match victim {
        Victim::Scheduler => {
            let place = leading(fleet).await;
            fleet.gateway.schedulers[place.0].kill9().await;
            let took = until_another_leads(&fleet.client(), &place.1).await;
            fleet.takeovers.push(took);
            fleet.gateway.restart_scheduler(place.0);
        }
        Victim::Agent => {
            fleet.gateway.agent.as_mut().unwrap().kill9().await;
            fleet.gateway.restart_agent();
        }
        Victim::Api => {
            fleet.gateway.api.kill9().await;
            fleet.gateway.restart_api().await;
        }
        Victim::Broker => {
            fleet.gateway.single_broker().kill9().await;
            fleet.gateway.single_broker().restart().await.unwrap();
        }
        Victim::All => everything(fleet).await,
    }
}

async fn everything(fleet: &mut Fleet) {
    let gateway = &mut fleet.gateway;
    for scheduler in &mut gateway.schedulers {
        scheduler.kill9().await;
    }
    gateway.agent.as_mut().unwrap().kill9().await;
    gateway.single_broker().kill9().await;
    gateway.api.kill9().await;
    gateway.single_broker().restart().await.unwrap();
    for place in 0..gateway.schedulers.len() {
        gateway.restart_scheduler(place);
    }
    gateway.restart_agent();
    gateway.restart_api().await;
}

/// The place of the scheduler that leads, and its name.
async fn leading(fleet: &Fleet) -> (usize, String) {
    let client = fleet.client();
    until("a leader", SOON, async || {
        let leader = leader(&client).await?;
        let is = |place: &usize| leader.starts_with(&format!("{}-", fleet.gateway.schedulers[*place].pid()));
        let place = (0..fleet.gateway.schedulers.len()).find(is);
        place.map(|place| (place, leader.clone())).ok_or_else(|| format!("{leader} is none of ours"))
    })
    .await
}

async fn leader(client: &Client) -> Result<String, String> {
    let answer = Client::send(client.request(reqwest::Method::GET, "//queue/stats")).await;
    let answer = answer.map_err(|error| format!("{error:?}"))?;
    let told: Value = serde_json::from_str(&answer.text).map_err(|error| error.to_string())?;
    told["leader"].as_str().map(str::to_owned).ok_or(answer.text)
}

/// How long it takes until another scheduler answers for the queue.
async fn until_another_leads(client: &Client, before: &str) -> Duration {
    let killed = Instant::now();
    until("another leader", SOON, async || match leader(client).await? {
        same if same == before => Err(format!("{same} still leads")),
        _ => Ok(()),
    })
    .await;
    killed.elapsed()
}
