//! How requests that cannot be served at once become jobs.

use domain::notices::AllowedTargets;
use service::config::{ConfigError, Reader};
use service::targets;
use std::time::Duration;

/// Bounds of jobs that requests become when their client asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverflowConfig {
    /// Jobs that may wait in all. Zero: no request becomes one.
    pub jobs: usize,
    /// Jobs that may wait of one caller.
    pub per_caller: usize,
    /// Jobs that one proxy performs at once.
    pub at_once: usize,
    /// Bytes of all requests that wait as jobs, and as many of all answers that are kept.
    pub stored_bytes: u64,
    /// Bytes of a request that may become a job.
    pub request_bytes: usize,
    /// Bytes of an answer that is kept.
    pub answer_bytes: usize,
    /// Attempts that may break off in the middle before a job has failed.
    pub attempts: u32,
    /// How long a job waits for a model server.
    pub ttl: Duration,
    /// How long a job that has ended is kept.
    pub keep: Duration,
    /// Addresses that callbacks may go to although they are not public.
    pub callback_targets: AllowedTargets,
}

impl Default for OverflowConfig {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            jobs: 1_000,
            per_caller: 100,
            stored_bytes: 1024 * MIB as u64,
            at_once: 32,
            request_bytes: 2 * MIB,
            answer_bytes: 16 * MIB,
            attempts: 3,
            ttl: Duration::from_secs(24 * 3_600),
            keep: Duration::from_secs(24 * 3_600),
            callback_targets: AllowedTargets::default(),
        }
    }
}

impl OverflowConfig {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let usual = Self::default();
        let mut count = |name: &str, about: &'static str, usual| {
            reader.value(&format!("GANTRY_PROXY_JOB{name}")).about(about).default(usual)
        };
        let jobs = count("S", "requests that may wait as jobs in all, 0 for none", usual.jobs)?;
        let per_caller = count("S_PER_CALLER", "requests of one caller that may wait as jobs", usual.per_caller)?;
        let at_once = count("S_AT_ONCE", "jobs that this proxy performs at once", usual.at_once)?;
        let request_bytes = count("_REQUEST_BYTES", "largest request that becomes a job", usual.request_bytes)?;
        let answer_bytes = count("_ANSWER_BYTES", "largest answer of a job", usual.answer_bytes)?;
        let stored_bytes = reader
            .value("GANTRY_PROXY_JOBS_BYTES")
            .about("bytes of all requests that wait as jobs, and as many of all answers that are kept")
            .default(usual.stored_bytes)?;
        let attempts: u32 = reader
            .value("GANTRY_PROXY_JOB_ATTEMPTS")
            .about("attempts that may break off in the middle before a job has failed")
            .default(usual.attempts)?;
        let ttl = reader
            .value("GANTRY_PROXY_JOB_TTL_S")
            .about("longest wait of a job for a model server")
            .default(usual.ttl)?;
        let keep = reader
            .value("GANTRY_PROXY_JOB_KEEP_S")
            .about("how long a job that has ended is kept")
            .default(usual.keep)?;
        let callback_targets = targets::read(reader)?;
        Ok(Self {
            jobs,
            per_caller,
            at_once,
            stored_bytes,
            request_bytes,
            answer_bytes,
            attempts,
            ttl,
            keep,
            callback_targets,
        })
    }
}
