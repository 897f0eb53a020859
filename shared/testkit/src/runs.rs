//! What tests do with runs and commands.

#![expect(clippy::expect_used, reason = "a test without its run has nothing to go on with")]

use crate::answer::Answer;
use crate::client::Client;
use crate::until::{SOON, until};
use reqwest::Method;
use serde_json::{Value, json};

/// States that a run does not leave.
const ENDED: [&str; 3] = ["completed", "failed", "cancelled"];

impl Client {
    /// Starts a run and answers with its id.
    ///
    /// # Panics
    /// When it is not accepted.
    pub async fn start(&self, body: &Value) -> String {
        run_id(&self.post("/runs/start", body).await)
    }

    /// Starts a run as a careful client does: with a key, and again until it is acknowledged.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn insist_on_start(&self, key: &str, body: &Value) -> String {
        let request = || self.request(Method::POST, "/runs/start").header("idempotency-key", key).json(body);
        run_id(&self.insist(&format!("the start {key}"), request).await)
    }

    /// Sends a command.
    ///
    /// # Panics
    /// When no answer came.
    pub async fn command(&self, id: &str, run: &str, kind: &str, payload: Value) -> Answer {
        self.post("/commands", &json!({"command_id": id, "run_id": run, "type": kind, "payload": payload})).await
    }

    /// Sends a command again and again until it is acknowledged, and answers with its number.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn insist_on_command(&self, id: &str, run: &str, kind: &str, payload: &Value) -> u64 {
        let body = json!({"command_id": id, "run_id": run, "type": kind, "payload": payload});
        let request = || self.request(Method::POST, "/commands").json(&body);
        let answer = self.insist(&format!("the command {id}"), request).await;
        answer.good()["seq"].as_u64().expect("an accepted command has a number")
    }

    /// What became of a command, once something has.
    pub async fn outcome(&self, id: &str) -> Value {
        until(&format!("the outcome of {id}"), 2 * SOON, async || {
            let answer = Self::send(self.request(Method::GET, &format!("/commands/{id}?wait_s=5"))).await;
            let answer = answer.map_err(|error| format!("{error:?}"))?;
            let known = answer.status == 200 && answer.json()["status"] != "accepted";
            if known { Ok(answer.json()) } else { Err(answer.text) }
        })
        .await
    }

    /// A run.
    ///
    /// # Panics
    /// When there is none.
    pub async fn run(&self, run: &str) -> Value {
        self.get(&format!("/runs/{run}")).await.good()
    }

    /// Waits until a run is in a state.
    pub async fn until_status(&self, run: &str, status: &str) -> Value {
        self.until_run(run, status, |run| run["status"] == status).await
    }

    /// Waits until a run has ended.
    pub async fn until_ended(&self, run: &str) -> Value {
        self.until_run(run, "ended", |run| ENDED.contains(&run["status"].as_str().unwrap_or_default())).await
    }

    /// Waits until a run is as wanted; failures to answer are waited out.
    pub async fn until_run(&self, run: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(&format!("run {run} to be {what}"), 2 * SOON, async || {
            let answer = Self::send(self.request(Method::GET, &format!("/runs/{run}"))).await;
            let answer = answer.map_err(|error| format!("{error:?}"))?;
            let fits = answer.status == 200 && wanted(&answer.json());
            if fits { Ok(answer.json()) } else { Err(answer.text) }
        })
        .await
    }

    /// The whole ledger of a run, read in pages of 100. Failures to answer are waited out.
    ///
    /// # Panics
    /// When cursors do not fit.
    pub async fn ledger(&self, run: &str) -> Vec<Value> {
        let mut records: Vec<Value> = Vec::new();
        loop {
            let path = format!("/runs/{run}/ledger?after={}&limit=100", records.len());
            let answer = self.insist("a ledger", || self.request(Method::GET, &path)).await.good();
            let items = answer["items"].as_array().expect("a page has items");
            records.extend(items.iter().cloned());
            assert_eq!(answer["next_after"], records.len(), "the cursor counts the records");
            if items.len() < 100 {
                return records;
            }
        }
    }
}

fn run_id(answer: &Answer) -> String {
    answer.good()["run_id"].as_str().expect("a start answers with the run's id").to_owned()
}
