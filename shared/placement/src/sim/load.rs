//! Generates the services and the jobs of a run.

use super::{Chance, Knobs};
use crate::{JobSpec, Service};
use std::collections::BTreeMap;

/// What is true of a service, whatever it declares.
#[derive(Clone, Debug)]
pub(crate) struct Truth {
    pub(crate) service: Service,
    /// Memory it really takes on each GPU.
    pub(crate) real_mb: u64,
    pub(crate) start_ms: u64,
}

/// What is true of a job.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) spec: JobSpec,
    pub(crate) at_ms: u64,
    pub(crate) runtime_ms: u64,
    pub(crate) cancel_after_ms: Option<u64>,
}

pub(crate) fn services(knobs: &Knobs, chance: &mut Chance) -> BTreeMap<crate::ServiceName, Truth> {
    let types = knobs.services.div_ceil(knobs.replicas.max(1));
    let mut all = BTreeMap::new();
    for number in 0..knobs.services {
        let spread = knobs.service_mb_high.saturating_sub(knobs.service_mb_low);
        let real_mb = knobs.service_mb_low + chance.below(spread + 1);
        let error = chance.below(2 * knobs.vram_error_percent + 1);
        let declared = real_mb * (100 + error).saturating_sub(knobs.vram_error_percent) / 100;
        let two = knobs.two_gpu_every > 0 && number % knobs.two_gpu_every == 0 && knobs.gpus_per_node > 1;
        let gpus: u16 = if two { 2 } else { 1 };
        // What can never fit is tested elsewhere; here every service has a GPU that is large enough.
        let declared = declared.min(knobs.gpu_mb) * u64::from(gpus);
        let mut service = Service::new(format!("s{number}"), format!("t{}", number % types.max(1)), declared);
        service.gpus = gpus;
        service.max_concurrency = knobs.max_concurrency;
        service.job_timeout_ms = knobs.job_timeout_ms;
        let start_ms = chance.log_normal_ms(knobs.start_ms, 0.3);
        let truth = Truth { service, real_mb: real_mb.min(knobs.gpu_mb), start_ms };
        all.insert(truth.service.name.clone(), truth);
    }
    all
}

pub(crate) fn jobs(knobs: &Knobs, chance: &mut Chance) -> Vec<Task> {
    let types = knobs.services.div_ceil(knobs.replicas.max(1)).max(1);
    let mut tasks = Vec::new();
    let mut at_ms = 0;
    while (tasks.len() as u64) < knobs.jobs {
        at_ms += chance.exponential_ms(knobs.burst_gap_ms);
        for _ in 0..=chance.below(knobs.burst_jobs) {
            if tasks.len() as u64 == knobs.jobs {
                break;
            }
            let number = tasks.len();
            at_ms += chance.below(20);
            tasks.push(job(knobs, chance, number, types, at_ms));
        }
    }
    tasks
}

fn job(knobs: &Knobs, chance: &mut Chance, number: usize, types: u64, at_ms: u64) -> Task {
    let kind = chance.zipf(usize::try_from(types).unwrap_or(1), knobs.zipf_exponent);
    let mut spec = JobSpec::new(format!("j{number}"), format!("t{kind}"));
    spec.ttl_ms = knobs.ttl_ms;
    if chance.percent(knobs.urgent_percent) {
        spec.priority = 0;
    }
    if chance.percent(knobs.pinned_percent) {
        spec.service_name = Some(format!("s{kind}").into());
    }
    let runtime_ms = chance.log_normal_ms(knobs.runtime_ms, knobs.runtime_sigma).min(knobs.job_timeout_ms / 2);
    let cancel_after_ms = chance.percent(knobs.cancel_percent).then(|| chance.below(20_000));
    Task { spec, at_ms, runtime_ms, cancel_after_ms }
}
