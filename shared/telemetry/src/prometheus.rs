//! The recorder behind the `metrics` macros and its text for Prometheus.

use crate::TelemetryError;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use std::sync::{Arc, Mutex, PoisonError};

/// Bounds of every histogram, in seconds: from half a millisecond, which a fast step takes, to a minute.
const BUCKETS: [f64; 15] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// Writes gauges that nobody keeps current.
type Writer = Arc<dyn Fn() + Send + Sync>;

/// The metrics of this process. Clones are the same metrics.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    writers: Arc<Mutex<Vec<Writer>>>,
}

impl Metrics {
    /// Makes the macros of the `metrics` crate record here, for the whole process.
    pub(crate) fn install() -> Result<Self, TelemetryError> {
        let recorder = recorder()?;
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|_| TelemetryError::Twice("metrics"))?;
        Ok(Self::of(handle))
    }

    fn of(handle: PrometheusHandle) -> Self {
        Self { handle, writers: Arc::default() }
    }

    /// Metrics that nothing records into, for a part that runs without the rest of the process.
    pub fn detached() -> Self {
        Self::of(PrometheusBuilder::new().build_recorder().handle())
    }

    /// Calls that before each [`Self::render`], to write gauges of what is true only at that moment.
    pub fn before_rendering(&self, write: impl Fn() + Send + Sync + 'static) {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(write));
    }

    /// In Prometheus' text format.
    pub fn render(&self) -> String {
        let writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        writers.iter().for_each(|write| write());
        self.upkeep();
        self.handle.render()
    }

    /// Folds recent samples into their histograms. Call it every few seconds where nobody scrapes, or the samples
    /// pile up.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

fn recorder() -> Result<PrometheusRecorder, TelemetryError> {
    let builder = PrometheusBuilder::new().set_buckets(&BUCKETS);
    Ok(builder.map_err(|error| TelemetryError::Metrics(error.to_string()))?.build_recorder())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_rendered_for_prometheus() {
        let recorder = recorder().unwrap();
        let metrics = Metrics::of(recorder.handle());
        metrics.before_rendering(|| metrics::gauge!("gantry_open").set(7));
        let text = metrics::with_local_recorder(&recorder, || {
            metrics::counter!("gantry_steps_total", "kind" => "fresh").increment(3);
            metrics::histogram!("gantry_step_seconds").record(0.002);
            metrics.render()
        });
        assert!(text.contains("gantry_open 7"), "{text}");
        assert!(text.contains("gantry_steps_total{kind=\"fresh\"} 3"), "{text}");
        assert!(text.contains("gantry_step_seconds_bucket{le=\"0.0025\"} 1"), "{text}");
        assert!(text.contains("gantry_step_seconds_bucket{le=\"0.001\"} 0"), "{text}");
    }
}
