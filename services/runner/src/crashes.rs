//! Telling a step that ends its runner from a doorbell that was merely delivered often.
//!
//! A doorbell is also delivered again when a runner is stopped, is too busy to begin, or gives it back while the broker
//! is away. So once it has come suspiciously often, whoever serves it leaves a trace first and takes it away afterwards:
//! a trace that is found was left by a runner that died over this very step.

use crate::RunnerError;
use bus::{Blobs, Bus, Delivery};
use domain::limits::CRASHES_PER_STEP;

/// Deaths that have to be traced before a run is ended for them; those before cost nothing to look for.
const TRACED: i64 = 2;

/// The traces, kept beside the blobs.
pub(crate) struct Crashes {
    blobs: Blobs,
}

impl Crashes {
    pub(crate) fn new(bus: &Bus) -> Self {
        Self { blobs: bus.blobs() }
    }

    /// Whether a doorbell has come often enough to leave a trace.
    pub(crate) fn suspects(bell: &Delivery) -> bool {
        bell.delivered > CRASHES_PER_STEP - TRACED
    }

    /// Leaves a trace. Answers why the step must not be tried again, when it must not.
    pub(crate) async fn enter(&self, bell: &Delivery) -> Result<Option<String>, RunnerError> {
        let found = self.blobs.get(&name(bell)).await?;
        let deaths = found.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.parse::<i64>().ok()).unwrap_or(0);
        if deaths >= TRACED {
            let times = bell.delivered - 1;
            return Ok(Some(format!("RunnerCrashed: this step ended its runner {times} times")));
        }
        self.blobs.put(&name(bell), (deaths + 1).to_string().as_bytes()).await?;
        Ok(None)
    }

    /// Takes the trace away: whatever became of the step, this process survived it.
    pub(crate) async fn leave(&self, bell: &Delivery) {
        if let Err(error) = self.blobs.remove(&name(bell)).await {
            tracing::debug!(%error, run = %bell.run, "the trace of a step stays behind");
        }
    }
}

fn name(bell: &Delivery) -> String {
    format!("crash/{}/{}/{}", bell.plane, bell.run, bell.sequence)
}
