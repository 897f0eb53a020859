//! Whether the proxy and its backends are well.

use crate::proxy::Setup;
use serde_json::{Value, json};

/// Whether any backend answers; before the first look nothing speaks against it.
pub(crate) fn is_ready(setup: &Setup) -> bool {
    setup.fleet.backends.iter().any(|backend| backend.seen().healthy != Some(false))
}

/// Every backend in detail.
pub(crate) fn health(setup: &Setup) -> Value {
    let backends: Vec<Value> = setup
        .fleet
        .backends
        .iter()
        .map(|backend| {
            let seen = backend.seen();
            json!({
                "name": backend.name(),
                "kind": backend.kind.name,
                "title": backend.kind.title,
                "base_url": backend.base_url(),
                "healthy": seen.healthy,
                "reason": seen.reason,
                "latency_ms": seen.at.map(|_| seen.latency.as_secs_f64() * 1000.0),
                "models": seen.models.map(|models| models.len()),
                "outstanding": backend.outstanding(),
                "paused_ms": backend.breaker.closed_for(std::time::Instant::now()).as_millis() as u64,
                "asleep": backend.rest.as_ref().map(|rest| rest.is_asleep()),
                "on_disconnect": backend.on_disconnect().as_str(),
            })
        })
        .collect();
    let all_well = setup.fleet.backends.iter().all(|backend| backend.seen().healthy == Some(true));
    json!({
        "status": if all_well && !backends.is_empty() { "ok" } else { "degraded" },
        "model": setup.config.default_model,
        "backends": backends,
        "version": env!("CARGO_PKG_VERSION"),
    })
}
