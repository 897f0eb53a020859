//! One look at a backend: is it well, and which models does it have.

use super::backend::{Backend, Seen};
use crate::backends::Health;
use crate::json::Pieces;
use crate::relay::client::{Call, Upstream, read_whole};
use http::{HeaderMap, Method, Uri};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of a model list.
const LIST_BYTES: usize = 4 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks its health path and its model list, and notes what was found.
pub(crate) async fn look(client: &Upstream, backend: &Backend) {
    let begun = Instant::now();
    let health = match backend.kind.health {
        Health::Path(path) => Some(ask(client, backend, backend.beside_api(path)).await),
        Health::ModelList => None,
    };
    let latency = begun.elapsed();
    let list = match &health {
        Some(Err(reason)) => Err(reason.clone()),
        Some(Ok(_)) | None => ask(client, backend, backend.api("/models")).await,
    };
    if let Some(rest) = backend.rest.as_ref().filter(|_| list.is_ok()) {
        rest.look(backend, client).await;
    }
    let models = list.as_ref().ok().and_then(|body| read_list(body));
    let outcome = health.unwrap_or_else(|| list.clone());
    backend.note(Seen {
        healthy: Some(outcome.is_ok()),
        reason: outcome.err(),
        models: models.map(Arc::new),
        at: Some(Instant::now()),
        latency,
    });
}

async fn ask(client: &Upstream, backend: &Backend, uri: Option<Uri>) -> Result<bytes::Bytes, String> {
    let uri = uri.ok_or("its URL cannot be used")?;
    let headers = HeaderMap::new();
    let body = Pieces::default();
    let call = Call { method: Method::GET, uri, headers: &headers, body, asked: None };
    let whole = async {
        let answer = client.send(backend, &call).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = read_whole(backend, answer.into_body(), LIST_BYTES).await.map_err(|error| error.to_string())?;
        if status.is_success() {
            return Ok(body);
        }
        let refusal = crate::backends::read_refusal(backend.name(), status, &body, None);
        Err(format!("answered {status}: {refusal}"))
    };
    tokio::time::timeout(PATIENCE, whole)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
}

/// The `data` of an OpenAI list; old servers say `models` or send a bare list.
fn read_list(body: &[u8]) -> Option<Vec<Value>> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    let list = match &mut value {
        Value::Array(list) => std::mem::take(list),
        Value::Object(object) => match object.get_mut("data").or(None)? {
            Value::Array(list) => std::mem::take(list),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => return None,
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    };
    Some(list.into_iter().filter(|entry| entry["id"].is_string()).collect())
}
