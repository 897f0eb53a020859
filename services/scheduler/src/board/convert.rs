//! Registrations and submissions as the placement core takes them.

use crate::config::Config;
use crate::names::As;
use domain::Time;
use domain::control::{JobRequest, ServiceRecord};
use placement::{GpuId, JobSpec, NodeId, Service};

/// The node of services that are reached by URL. No agent can have this name: it is no token of a subject.
pub(crate) const EXTERNAL_NODE: &str = "(by url)";

/// A registered service as the core sees it.
pub(crate) fn placement_service(record: &ServiceRecord, config: &Config) -> Service {
    let more = &record.more;
    let external = record.url.is_some();
    let vram_mb = if external { 0 } else { record.vram_mb() };
    let gpus = if external { 0 } else { more.gpus.unwrap_or(u16::from(vram_mb > 0)) };
    let idle_default = u64::try_from(config.idle_timeout.as_millis()).unwrap_or(u64::MAX);
    let nodes = if external {
        [NodeId::from(EXTERNAL_NODE)].into()
    } else {
        more.nodes.iter().map(|node| NodeId::from(node.as_str())).collect()
    };
    Service {
        name: record.name.cast(),
        service_type: record.service_type.cast(),
        vram_mb,
        gpus,
        priority: more.priority,
        max_concurrency: more.max_concurrency.max(1),
        idle_timeout_ms: match more.idle_timeout_ms {
            _ if external => None,
            Some(0) => None,
            Some(ms) => Some(ms),
            None => Some(idle_default),
        },
        min_runtime_ms: more.min_runtime_ms,
        job_timeout_ms: more.job_timeout_ms.max(1),
        start_timeout_ms: more.start_timeout_ms,
        nodes,
        devices: more.devices.iter().map(|id| GpuId::from(id.as_str())).collect(),
        enabled: record.enabled,
    }
}

/// A submitted job as the core sees it. Its time to live counts from its submission, however late it is taken in.
pub(crate) fn job_spec(request: &JobRequest, now: Time) -> JobSpec {
    let waited_micros = now.as_micros().saturating_sub(request.submitted_at.as_micros());
    let waited_ms = u64::try_from(waited_micros / 1_000).unwrap_or(0);
    let usual = JobSpec::new(request.id.as_str(), request.service_type.as_str());
    JobSpec {
        service_name: request.service_name.as_ref().map(As::cast),
        priority: request.priority,
        ttl_ms: request.ttl_seconds.map(|ttl| ttl.saturating_mul(1_000).saturating_sub(waited_ms)),
        max_attempts: request.max_attempts.max(1),
        timeout_ms: request.timeout_ms,
        retry_first_ms: request.retry_first_ms.unwrap_or(usual.retry_first_ms),
        ..usual
    }
}
