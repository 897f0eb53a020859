//! Logs, metrics and traces, set up once per process.
//!
//! - Logs go to standard error: one readable line each on a terminal, one JSON object each elsewhere.
//! - Metrics are recorded with the `metrics` crate and rendered for Prometheus by [`Metrics::render`].
//! - Traces are exported over OTLP/HTTP only when an endpoint is configured; [`inject`] and [`continue_from`] carry
//!   the W3C trace context over HTTP requests and broker messages alike.
//!
//! ```no_run
//! # async fn example() -> Result<(), telemetry::TelemetryError> {
//! let telemetry = telemetry::init(&telemetry::Settings { service: "gantry".to_owned(), ..Default::default() })?;
//! tracing::info!("ready");
//! println!("{}", telemetry.metrics().render());
//! telemetry.flush(std::time::Duration::from_secs(2)).await;
//! # Ok(())
//! # }
//! ```

mod context;
mod export;
mod logs;
mod prometheus;
mod spans;

pub use context::{continue_from, inject, rename, trace_id};
pub use logs::{Format, TRACES_ONLY, is_filter};
pub use prometheus::Metrics;
pub use spans::{request_span, run_span};

use opentelemetry_sdk::trace::SdkTracerProvider;
use std::time::Duration;

/// What to set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The service's name, as traces show it.
    pub service: String,
    /// Which lines are written, such as `info` or `info,runner=debug`.
    pub filter: String,
    /// What the lines look like.
    pub format: Format,
    /// The OTLP endpoint over HTTP, such as `http://collector:4318`; without one nothing is exported.
    pub otlp_endpoint: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { service: "gantry".to_owned(), filter: "info".to_owned(), format: Format::Auto, otlp_endpoint: None }
    }
}

/// Telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter for log lines does not parse.
    #[error("the log filter '{filter}' cannot be used: {reason}; try info, or info,runner=debug")]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something in this process has set it up before.
    #[error("{0} have been set up twice in one process")]
    Twice(&'static str),
    /// The metrics recorder refuses its settings.
    #[error("metrics cannot be recorded: {0}")]
    Metrics(String),
    /// The exporter of traces cannot be built.
    #[error("traces cannot be exported to '{endpoint}': {reason}")]
    Export {
        /// As given.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What was set up. Keep it until the process ends, then flush it.
#[derive(Debug)]
pub struct Telemetry {
    metrics: Metrics,
    provider: Option<SdkTracerProvider>,
}

/// Sets up logs, metrics and traces. With an OTLP endpoint it must be called inside the runtime, on which spans
/// are then sent.
pub fn init(settings: &Settings) -> Result<Telemetry, TelemetryError> {
    let provider = match &settings.otlp_endpoint {
        Some(endpoint) => Some(export::provider(&settings.service, endpoint)?),
        None => None,
    };
    logs::install(settings, provider.as_ref())?;
    Ok(Telemetry { metrics: Metrics::install()?, provider })
}

impl Telemetry {
    /// The metrics, for `/metrics`.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Sends what has not been sent yet, for at most that long.
    pub async fn flush(self, deadline: Duration) {
        let Some(provider) = self.provider else { return };
        // The provider blocks its caller while the runtime sends, so it must not block the runtime.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(deadline)).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "some traces were not sent");
        }
    }
}
