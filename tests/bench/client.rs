//! A client as people write them: start a run, follow its stream to the end.

use crate::gateway::Gateway;
use anyhow::{Context, Result, bail};
use futures::StreamExt;
use serde_json::{Value, json};

#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Client {
    pub(crate) fn new(gateway: &Gateway) -> Result<Self> {
        let http = reqwest::Client::builder().pool_max_idle_per_host(2_048).tcp_nodelay(true).build()?;
        Ok(Self { http, url: format!("{}/api/gateway", gateway.url), token: gateway.token.clone() })
    }

    /// Uploads a bundle; returns its hash.
    pub(crate) async fn install(&self, bytes: Vec<u8>) -> Result<String> {
        let part = reqwest::multipart::Part::bytes(bytes).file_name("bench.flow");
        let form = reqwest::multipart::Form::new().part("file", part).text("overwrite", "true");
        let sent = self.http.post(format!("{}/bundles/upload", self.url)).bearer_auth(&self.token).multipart(form);
        let answer: Value = sent.send().await?.error_for_status()?.json().await?;
        Ok(answer["sha256"].as_str().context("no hash")?.to_owned())
    }

    pub(crate) async fn start(&self, flow: &str) -> Result<String> {
        let body = json!({ "bundle_id": "bench", "flow_id": flow, "input_data": { "prompt": "hi" } });
        let sent = self.http.post(format!("{}/runs/start", self.url)).bearer_auth(&self.token).json(&body);
        let answer: Value = sent.send().await?.error_for_status()?.json().await?;
        Ok(answer["run_id"].as_str().context("no run id")?.to_owned())
    }

    /// Follows a run's stream to its end; the number of records.
    pub(crate) async fn follow(&self, run: &str) -> Result<u64> {
        let sent = self.http.get(format!("{}/runs/{run}/ledger/stream", self.url)).bearer_auth(&self.token);
        let mut chunks = sent.send().await?.error_for_status()?.bytes_stream();
        let mut text = Vec::new();
        while let Some(chunk) = chunks.next().await {
            text.extend_from_slice(&chunk?);
        }
        if !find(&text, b"event: done") {
            bail!("the stream of {run} ended before the run");
        }
        Ok(text.windows(11).filter(|window| window == b"event: step").count() as u64)
    }

    /// Opens a run's stream and waits for its first record.
    pub(crate) async fn first_record(&self, run: &str) -> Result<reqwest::Response> {
        let sent = self.http.get(format!("{}/runs/{run}/ledger/stream", self.url)).bearer_auth(&self.token);
        let mut response = sent.send().await?.error_for_status()?;
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            text.extend_from_slice(&chunk);
            if find(&text, b"event: step") {
                return Ok(response);
            }
        }
        bail!("the stream of {run} ended before its first record")
    }

    pub(crate) async fn list(&self) -> Result<usize> {
        let sent = self.http.get(format!("{}/runs?limit=50", self.url)).bearer_auth(&self.token);
        let answer: Value = sent.send().await?.error_for_status()?.json().await?;
        Ok(answer["items"].as_array().map_or(0, Vec::len))
    }
}

fn find(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
