//! Log lines: which, how they look, and the layer that turns spans into traces.

use crate::{Settings, TelemetryError, export};
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::io::IsTerminal;
use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// The target of spans that are made for traces alone: without an exporter they cost nothing, and no log line knows them.
pub const TRACES_ONLY: &str = "gantry_traces";

/// What log lines look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Readable on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One readable line each.
    Pretty,
    /// One JSON object each.
    Json,
}

/// Whether a text can be a filter of log lines.
pub fn is_filter(text: &str) -> bool {
    EnvFilter::try_new(text).is_ok()
}

/// Makes this process write logs and, with a provider, make traces.
pub(crate) fn install(settings: &Settings, provider: Option<&SdkTracerProvider>) -> Result<(), TelemetryError> {
    let filter = filter(&settings.filter)
        .map_err(|error| TelemetryError::Filter { filter: settings.filter.clone(), reason: error.to_string() })?;
    let is_terminal = std::io::stderr().is_terminal();
    let traces = provider.map(export::layer);
    tracing_subscriber::registry()
        .with(traces)
        .with(lines(settings.format, is_terminal, std::io::stderr).with_filter(filter))
        .try_init()
        .map_err(|_| TelemetryError::Twice("logs"))
}

/// Which lines that text lets through.
fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    Ok(EnvFilter::try_new(text)?.add_directive(format!("{TRACES_ONLY}=off").parse()?))
}

/// The layer that writes lines. Every line carries the fields of the spans it lies in.
fn lines<S, W>(format: Format, is_terminal: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> fmt::MakeWriter<'writer> + Send + Sync + 'static,
{
    let is_json = match format {
        Format::Auto => !is_terminal,
        Format::Pretty => false,
        Format::Json => true,
    };
    if is_json {
        fmt::layer().json().flatten_event(true).with_current_span(false).with_writer(writer).boxed()
    } else {
        fmt::layer().with_ansi(is_terminal).with_writer(writer).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(format: Format, is_terminal: bool) -> String {
        let written = Written::default();
        let target = written.clone();
        let layer = lines(format, is_terminal, move || target.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let _run = crate::run_span("run-1", "session-1").entered();
            tracing::warn!(node = "ask", "waits");
        });
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_json_line_carries_the_ids_of_its_run() {
        let line: serde_json::Value = serde_json::from_str(&written(Format::Auto, false)).unwrap();
        assert_eq!((&line["message"], &line["node"]), (&"waits".into(), &"ask".into()));
        assert_eq!(line["spans"][0]["run_id"], "run-1");
        assert_eq!(line["spans"][0]["session_id"], "session-1");
    }

    #[test]
    fn a_readable_line_carries_the_ids_of_its_run_and_colours_only_on_a_terminal() {
        let plain = written(Format::Pretty, false);
        assert!(plain.contains("run_id=\"run-1\"") && plain.contains("waits"), "{plain}");
        assert!(!plain.contains('\u{1b}'), "{plain}");
        assert!(written(Format::Auto, true).contains('\u{1b}'));
    }

    #[test]
    fn spans_that_are_for_traces_alone_are_not_made_for_lines() {
        let layer = lines(Format::Json, false, std::io::sink).with_filter(filter("trace").unwrap());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            assert!(tracing::info_span!(target: TRACES_ONLY, "call").is_disabled());
            assert!(!tracing::info_span!("call").is_disabled());
        });
    }

    #[test]
    fn a_filter_is_checked_before_it_is_used() {
        assert!(is_filter("info,runner=debug") && is_filter("ERROR"));
        assert!(!is_filter("runner=loudly"));
    }
}
