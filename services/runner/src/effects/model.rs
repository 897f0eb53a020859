//! Model calls, through the proxy service.

use crate::config::ModelConfig;
use crate::effects::Slow;
use crate::{RunnerError, metrics};
use domain::{InboxMessage, Object};
use flow::model::{Defaults, ModelError, TRUNCATION_TRIES, larger_request, request_body, result_from_response};
use futures::StreamExt;
use secrecy::ExposeSecret;
use serde_json::Value;
use std::time::Instant;
use tracing::Instrument;

/// Bytes of an answer; a larger one is refused.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// Characters of a server's error text that go into the ledger.
const ERROR_TEXT: usize = 2_000;

/// Calls models over HTTP.
pub(crate) struct ModelClient {
    http: reqwest::Client,
    config: ModelConfig,
}

impl ModelClient {
    pub(crate) fn new(config: &ModelConfig) -> Result<Self, RunnerError> {
        let http = reqwest::Client::builder()
            .timeout(config.timeout)
            .connect_timeout(std::time::Duration::from_secs(5))
            .build()
            .map_err(|error| RunnerError::Client(error.to_string()))?;
        Ok(Self { http, config: config.clone() })
    }

    /// Performs a call; a failure is an answer too.
    pub(crate) async fn perform(&self, slow: &Slow) -> InboxMessage {
        let model = slow.request.get("model").and_then(Value::as_str);
        let span = tracing::info_span!(
            "model_call",
            gen_ai.operation.name = "chat",
            gen_ai.request.model = model,
            attempt = slow.attempt,
        );
        let outcome = self.call(slow).instrument(span).await;
        let word = if outcome.is_ok() { "ok" } else { "failed" };
        ::metrics::counter!(metrics::MODEL_CALLS, "outcome" => word).increment(1);
        InboxMessage::EffectDone { key: slow.key.clone(), attempt: slow.attempt, outcome }
    }

    async fn call(&self, slow: &Slow) -> Result<Value, String> {
        let model = slow.request.get("model").and_then(Value::as_str).or(self.config.model.as_deref());
        let model = model.filter(|name| !name.is_empty()).ok_or(
            "no model is named: set model in the node, GANTRY_MODEL (or ABSTRACTGATEWAY_MODEL) in the environment",
        )?;
        let mut payload = slow.request.clone();
        payload.entry("provider").or_insert_with(|| self.config.provider.clone().into());
        let mut body = request_body(&payload, &Defaults { model: model.to_owned(), max_output_tokens: None });
        let mut tries = 1;
        loop {
            let began = Instant::now();
            let response = self.post(&body, slow).await?;
            let milliseconds = (began.elapsed().as_secs_f64() * 10_000.0).round() / 10.0;
            let trace = domain::uuid_from(&[slow.key.as_bytes(), &slow.attempt.to_le_bytes()]);
            match result_from_response(&payload, &response, &trace, milliseconds) {
                Err(ModelError::Truncated(_)) if tries < TRUNCATION_TRIES => {
                    tries += 1;
                    body = larger_request(&body);
                }
                result => return result.map_err(|error| error.to_string()),
            }
        }
    }

    async fn post(&self, body: &Object, slow: &Slow) -> Result<Value, String> {
        let url = format!("{}/chat/completions", self.config.base_url.trim_end_matches('/'));
        let mut request = self.http.post(&url).json(body).header("idempotency-key", &slow.key);
        if let Some(key) = &self.config.api_key {
            request = request.bearer_auth(key.expose_secret());
        }
        telemetry::inject(|name, value| {
            if let Some(again) = request.try_clone() {
                request = again.header(name, value);
            }
        });
        let response =
            request.send().await.map_err(|error| format!("the model proxy at {url} cannot be reached: {error}"))?;
        let status = response.status();
        let mut bytes = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            bytes.extend_from_slice(&chunk.map_err(|error| format!("the model's answer broke off: {error}"))?);
            if bytes.len() > MOST_BYTES {
                return Err(format!("the model's answer is larger than {MOST_BYTES} bytes"));
            }
        }
        if !status.is_success() {
            return Err(format!("the model server answered {}: {}", status.as_u16(), error_text(&bytes)));
        }
        serde_json::from_slice(&bytes).map_err(|error| format!("the model's answer is not JSON: {error}"))
    }
}

/// The message of an error body in any of the usual shapes.
fn error_text(bytes: &[u8]) -> String {
    let parsed: Option<Value> = serde_json::from_slice(bytes).ok();
    let message = parsed.as_ref().and_then(|value| {
        let error = value.get("error").or_else(|| value.get("detail"))?;
        error.get("message").unwrap_or(error).as_str().map(str::to_owned)
    });
    message.unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned()).chars().take(ERROR_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_in_every_usual_error_body() {
        for body in [r#"{"error":{"message":"no"}}"#, r#"{"error":"no"}"#, r#"{"detail":"no"}"#, "no"] {
            assert_eq!(error_text(body.as_bytes()), "no");
        }
    }
}
