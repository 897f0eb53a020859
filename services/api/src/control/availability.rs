//! `GET /available/{service_type}`: whether it is worth submitting here, or better to go elsewhere.

use super::access::unanswered;
use super::gpu::Sums;
use crate::error::ok;
use crate::input::Input;
use crate::{Api, ApiError};
use axum::response::Response;
use domain::control::ServiceView;
use serde_json::{Value, json};

/// Above this share of its time a GPU counts as taken.
const TAKEN_PERCENT: u64 = 90;

pub(super) async fn available(api: Api, input: Input) -> Result<Response, ApiError> {
    let kind = input.path("service_type");
    let mut found =
        api.control().services(true, api.config.scheduler_patience).await.map_err(|error| unanswered(&error))?;
    found.retain(|view| view.record.enabled && view.record.service_type.as_str() == kind);
    let sums = Sums::of(&api.heard_nodes().await?);
    Ok(ok(&verdict(kind, &found, &sums)))
}

fn verdict(kind: &str, found: &[ServiceView], sums: &Sums) -> Value {
    if found.is_empty() {
        return json!({
            "available": false,
            "service": kind,
            "reason": format!("No enabled services of type '{kind}'"),
            "gpu_memory_free_mb": 0,
            "gpu_utilization_pct": 0,
            "recommendation": "use_cloud",
        });
    }
    let busy = |view: &&ServiceView| !view.active_jobs.is_empty();
    let healthy: Vec<&ServiceView> = found.iter().filter(|view| view.healthy).collect();
    if healthy.is_empty() {
        let queued = found.iter().any(|view| busy(&view));
        return json!({
            "available": false,
            "service": kind,
            "services_registered": found.len(),
            "reason": if queued { "No healthy services (jobs queued)" } else { "No healthy services" },
            "gpu_memory_free_mb": sums.free_mb,
            "gpu_utilization_pct": sums.utilisation,
            "recommendation": if queued { "queue" } else { "use_cloud" },
        });
    }
    let depth = healthy.iter().filter(|view| busy(view)).count();
    json!({
        "available": true,
        "service": kind,
        "healthy_services": healthy.len(),
        "gpu_memory_free_mb": sums.free_mb,
        "gpu_utilization_pct": sums.utilisation,
        "queue_depth": depth,
        "recommendation": if depth > 0 || sums.utilisation > TAKEN_PERCENT { "queue" } else { "use_local" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::control::{ServiceRecord, ServiceState};

    fn service(healthy: bool, jobs: &[&str]) -> ServiceView {
        ServiceView {
            record: ServiceRecord::at_url("a", "http://127.0.0.1:1", "llm", crate::api::now()),
            state: ServiceState::Idle,
            container_running: true,
            healthy,
            response_time_ms: None,
            active_jobs: jobs.iter().map(|id| (*id).into()).collect(),
            generation: 1,
            node: None,
            devices: Vec::new(),
            reserved_mb: 0,
            learned_peak_mb: 0,
            started_by_scheduler: false,
            idle_since: None,
            failed_starts: 0,
            last_error: None,
            retry_at: None,
            last_start_ms: None,
        }
    }

    #[test]
    fn the_recommendation_follows_health_work_and_use() {
        let (quiet, hot) = (Sums::default(), Sums { utilisation: 91, ..Sums::default() });
        let of = |found: &[ServiceView], sums: &Sums| {
            let verdict = verdict("llm", found, sums);
            (verdict["available"] == true, verdict["recommendation"].as_str().map(str::to_owned).unwrap())
        };
        assert_eq!(of(&[], &quiet), (false, "use_cloud".to_owned()));
        assert_eq!(of(&[service(false, &[])], &quiet), (false, "use_cloud".to_owned()));
        assert_eq!(of(&[service(false, &["j"])], &quiet), (false, "queue".to_owned()));
        assert_eq!(of(&[service(true, &[])], &quiet), (true, "use_local".to_owned()));
        assert_eq!(of(&[service(true, &["j"])], &quiet), (true, "queue".to_owned()));
        assert_eq!(of(&[service(true, &[])], &hot), (true, "queue".to_owned()));
        let shown = verdict("llm", &[service(true, &["j"]), service(false, &[])], &quiet);
        assert_eq!((&shown["healthy_services"], &shown["queue_depth"]), (&json!(1), &json!(1)));
    }
}
