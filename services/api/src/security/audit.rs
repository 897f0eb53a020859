//! The audit log: one JSON line for every write request, written off the request path.

use super::guard::Verdict;
use crate::config::AuditConfig;
use domain::Time;
use http::{HeaderMap, StatusCode, header, request::Parts};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

/// Entries that may wait for the writer.
const QUEUE: usize = 4_096;

/// One write request. Keys in the order of the contract.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    ts: Time,
    request_id: String,
    ip: String,
    method: String,
    path: String,
    query: String,
    status: u16,
    duration_ms: u64,
    auth_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token_fp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal_user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal_tenant_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Map<String, Value>>,
}

/// Where the layer puts entries; clones share the queue.
#[derive(Debug, Clone)]
pub struct AuditLog {
    headers: Vec<String>,
    queue: Option<mpsc::Sender<Entry>>,
}

/// What of a request is needed once it has been answered.
#[derive(Debug)]
pub struct Draft {
    entry: Entry,
    began: std::time::Instant,
}

impl AuditLog {
    /// A log and what its writer reads; without a writer when auditing is off.
    pub fn new(config: &AuditConfig) -> (Self, Option<mpsc::Receiver<Entry>>) {
        let headers = config.headers.iter().map(|name| name.trim().to_ascii_lowercase()).collect();
        if !config.enabled {
            return (Self { headers, queue: None }, None);
        }
        let (queue, receiver) = mpsc::channel(QUEUE);
        (Self { headers, queue: Some(queue) }, Some(receiver))
    }

    /// Notes a write request as it arrives.
    pub fn begin(&self, parts: &Parts, request_id: &str, ip: &str) -> Option<Draft> {
        self.queue.as_ref()?;
        let text = |name: &header::HeaderName| limited(&parts.headers, name.as_str());
        let entry = Entry {
            ts: jiff::Timestamp::now().into(),
            request_id: request_id.to_owned(),
            ip: ip.to_owned(),
            method: parts.method.as_str().to_owned(),
            path: parts.uri.path().to_owned(),
            query: redacted(parts.uri.query().unwrap_or_default()),
            status: 0,
            duration_ms: 0,
            auth_required: true,
            auth_token_fp: None,
            principal_user_id: None,
            principal_tenant_id: None,
            origin: text(&header::ORIGIN),
            user_agent: text(&header::USER_AGENT),
            bytes_in: text(&header::CONTENT_LENGTH).and_then(|text| text.parse().ok()),
            headers: self.allowed(&parts.headers),
        };
        Some(Draft { entry, began: std::time::Instant::now() })
    }

    /// Hands the entry of an answered request to the writer. Waits when the writer is far behind: a log of
    /// writes that silently loses some is worth little.
    pub async fn end(&self, draft: Option<Draft>, verdict: &Verdict, status: StatusCode) {
        let (Some(Draft { mut entry, began }), Some(queue)) = (draft, &self.queue) else {
            return;
        };
        entry.status = status.as_u16();
        entry.duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        entry.auth_required = verdict.auth_required;
        if let Some(principal) = &verdict.principal {
            entry.auth_token_fp.clone_from(&principal.token_fingerprint);
            entry.principal_user_id = Some(principal.user_id.clone());
            entry.principal_tenant_id = Some(principal.tenant_id.clone());
        }
        if queue.send(entry).await.is_err() {
            tracing::error!("a write request could not be audited: the writer of the audit log has ended");
        }
    }

    fn allowed(&self, headers: &HeaderMap) -> Option<Map<String, Value>> {
        let found: Map<String, Value> = self
            .headers
            .iter()
            .filter_map(|name| limited(headers, name).map(|value| (name.clone(), Value::String(value))))
            .collect();
        (!found.is_empty()).then_some(found)
    }
}

fn limited(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(|text| text.chars().take(512).collect())
}

/// Keys stay, values go.
fn redacted(query: &str) -> String {
    let keys = query.split('&').filter(|part| !part.is_empty()).take(64);
    let parts: Vec<String> =
        keys.map(|part| format!("{}=<redacted>", part.split_once('=').map_or(part, |(key, _)| key))).collect();
    parts.join("&")
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn values_of_a_query_never_reach_the_log() {
        assert_eq!(redacted("token=abc&flag&x=1=2"), "token=<redacted>&flag=<redacted>&x=<redacted>");
        assert_eq!(redacted(""), "");
    }
}
