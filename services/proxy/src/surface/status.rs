//! Whether the proxy and its backends are well.

use crate::Capability;
use crate::proxy::{Proxy, Setup};
use serde_json::{Value, json};

/// Whether any backend answered a look that is no older than three of them are apart.
pub(crate) fn answers(setup: &Setup) -> bool {
    let age = setup.config.timeouts.probe * 3;
    let mut seen = setup.fleet.backends.iter().map(|backend| backend.seen());
    seen.any(|seen| seen.healthy == Some(true) && seen.at.is_some_and(|at| at.elapsed() < age))
}

/// Whether requests can be served, and why not. Before the first look nothing speaks against a backend, and models of
/// services are started when they are asked for.
pub(crate) fn is_ready(setup: &Setup, proxy: &Proxy) -> Result<(), &'static str> {
    let backends = &setup.fleet.backends;
    let is_offered = proxy.hears_offers() && (backends.is_empty() || !proxy.served().is_empty());
    if is_offered || backends.iter().any(|backend| backend.is_healthy() != Some(false)) {
        return Ok(());
    }
    Err(if backends.is_empty() {
        "no backend is configured, and no broker tells of services"
    } else {
        "no backend answers"
    })
}

/// Every backend and every service in detail.
pub(crate) fn health(setup: &Setup, proxy: &Proxy) -> Value {
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
                "capabilities": Capability::ALL.into_iter().filter(|what| backend.can(*what)).collect::<Vec<_>>(),
                "stored": setup.in_force.backends.contains(backend.name()),
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
    let services = proxy.served();
    let services: Vec<Value> = services
        .iter()
        .map(|served| {
            let offer = &served.standing().offer;
            json!({"name": offer.service, "models": offer.models, "stage": offer.stage.as_str()})
        })
        .collect();
    json!({
        "status": if all_well && is_ready(setup, proxy).is_ok() { "ok" } else { "degraded" },
        "model": setup.config.default_model,
        "backends": backends,
        "services": services,
        "passed_over": setup.in_force.passed_over,
        "version": env!("CARGO_PKG_VERSION"),
    })
}
