//! Accepting a run: its start is put into its inbox, once, whoever repeats the request.

use super::find::{Known, find, stored};
use crate::api::{Api, PlaneData, now};
use crate::input::Input;
use crate::{ApiError, input::trace};
use bytes::Bytes;
use domain::{InboxMessage, Object, RunId, SessionId, Source, StartRun, WorkflowId, digest_hex, uuid_from};
use ledger::Summary;
use serde_json::Value;
use std::collections::BTreeMap;

/// Keys of input data that only the gateway may decide, or that no policy allows here.
const WORKSPACE: [&str; 4] =
    ["workspace_root", "workspace_access_mode", "workspace_allowed_paths", "workspace_ignored_paths"];
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const KEY_CHARACTERS: usize = 256;

/// A run to be accepted.
#[derive(Debug)]
pub struct Wanted {
    /// What it executes.
    pub workflow: WorkflowId,
    /// Where its flow is.
    pub source: Source,
    /// Its variables.
    pub vars: Object,
    /// The session the client named.
    pub session: Option<String>,
}

/// The id a run will have, and whether somebody else may ask for the same.
#[derive(Debug)]
pub struct Identity {
    /// The run.
    pub run: RunId,
    /// Digest of the request, when the client gave an idempotency key.
    pub digest: Option<String>,
}

/// Chooses the run's id: a function of the idempotency key when there is one, else fresh.
pub fn identity(data: &PlaneData, input: &Input, operation: &str) -> Result<Identity, ApiError> {
    let Some(key) = input.header(IDEMPOTENCY_KEY) else {
        return Ok(Identity { run: RunId::new(uuid::Uuid::new_v4().to_string()), digest: None });
    };
    if key.chars().count() > KEY_CHARACTERS {
        return Err(ApiError::bad_request(format!("Idempotency-Key has more than {KEY_CHARACTERS} characters")));
    }
    let plane = data.plane.to_string();
    let run = uuid_from(&[plane.as_bytes(), operation.as_bytes(), key.as_bytes()]);
    let request = canonical(&Value::Object(input.body.clone())).to_string();
    let digest = digest_hex(&[operation.as_bytes(), request.as_bytes()]);
    Ok(Identity { run: RunId::new(run), digest: Some(digest) })
}

/// Whether the same request was accepted before. A different one under the same key is a conflict.
pub async fn repeated(data: &PlaneData, identity: &Identity) -> Result<bool, ApiError> {
    if identity.digest.is_none() {
        return Ok(false);
    }
    match find(data, &identity.run).await? {
        None => Ok(false),
        Some(known) => same(&known, identity).map(|()| true),
    }
}

fn same(known: &Known, identity: &Identity) -> Result<(), ApiError> {
    if known.request_digest() == identity.digest.as_deref() {
        return Ok(());
    }
    Err(ApiError::conflict("Idempotency-Key was used with a different request"))
}

/// The inbox keeps the first of two starts of one run. Whoever came second learns here whether both asked for the same.
async fn second(data: &PlaneData, identity: &Identity, sequence: u64) -> Result<(), ApiError> {
    match stored(data, &identity.run, sequence).await? {
        Some(known) => same(&known, identity),
        None => {
            Err(ApiError::conflict("the run of this Idempotency-Key was removed a moment ago; start with another key"))
        }
    }
}

/// Puts the start into the run's inbox. When this returns, the run will happen.
pub async fn accept(
    api: &Api,
    data: &PlaneData,
    input: &Input,
    identity: &Identity,
    wanted: Wanted,
) -> Result<(), ApiError> {
    let run = &identity.run;
    let session = wanted.session.filter(|session| !session.trim().is_empty());
    let start = StartRun {
        run_id: run.clone(),
        workflow_id: wanted.workflow,
        source: wanted.source,
        vars: wanted.vars,
        session_id: session.map_or_else(|| SessionId::new(run.as_str()), SessionId::new),
        actor_id: "gateway".to_owned(),
        parent_run_id: None,
        report_to_parent: false,
        created_at: now(),
        request_digest: identity.digest.clone(),
    };
    let summary = Summary::of(&flow::start(&start, ""));
    let body = serde_json::to_vec(&InboxMessage::Start(Box::new(start)))
        .map_err(|problem| ApiError::bad_request(format!("Failed to start run: {problem}")))?;
    let sent = data.inbox.send(run, &format!("start:{run}"), &Bytes::from(body), &trace(input)).await?;
    if sent.duplicate {
        return Box::pin(second(data, identity, sent.sequence)).await;
    }
    api.recent.note(&data.plane, run);
    api.parts.projector.accept(&data.plane, summary);
    Ok(())
}

/// A client's variables: the kernel's own namespace and workspace settings that no policy allows are left out.
pub fn client_vars(given: Option<&Object>) -> Object {
    let kept =
        given.into_iter().flatten().filter(|(key, _)| !key.starts_with('_') && !WORKSPACE.contains(&key.as_str()));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The same value with every object's keys in order.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let sorted: BTreeMap<&String, Value> = object.iter().map(|(key, value)| (key, canonical(value))).collect();
            Value::Object(sorted.into_iter().map(|(key, value)| (key.clone(), value)).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_client_cannot_write_into_the_kernels_namespace() {
        let given = json!({"prompt": "x", "_runtime": {"workflow_policy": 1}, "workspace_root": "/etc"});
        assert_eq!(Value::Object(client_vars(given.as_object())), json!({"prompt": "x"}));
    }

    #[test]
    fn the_order_of_keys_does_not_make_another_request() {
        let (first, second) = (json!({"a": {"x": 1, "y": [2]}, "b": 1}), json!({"b": 1, "a": {"y": [2], "x": 1}}));
        assert_eq!(canonical(&first).to_string(), canonical(&second).to_string());
    }
}
