//! The span of a model call, in the attribute names of OpenTelemetry's conventions for generative AI.

use crate::usage::{Outcome, Usage};
use http::HeaderMap;
use tracing::Span;
use tracing::field::Empty;

/// A span for one request; it goes on with the trace that the client's headers carry.
pub(crate) fn begin(headers: &HeaderMap, request_id: &str, operation: &'static str) -> Span {
    let span = tracing::info_span!(
        target: telemetry::TRACES_ONLY,
        "model call",
        request_id,
        "otel.kind" = "client",
        "otel.name" = Empty,
        "otel.status_code" = Empty,
        "gen_ai.operation.name" = operation,
        "gen_ai.request.model" = Empty,
        "gen_ai.provider.name" = Empty,
        "gen_ai.usage.input_tokens" = Empty,
        "gen_ai.usage.output_tokens" = Empty,
        "gen_ai.usage.cache_read.input_tokens" = Empty,
        "gen_ai.response.time_to_first_chunk" = Empty,
        "error.type" = Empty,
        "gantry.backend" = Empty,
    );
    if span.is_disabled() {
        return span;
    }
    telemetry::continue_from(&span, |name| headers.get(name).and_then(|value| value.to_str().ok()));
    span
}

/// Puts the trace into the headers that a backend gets, in the place of the client's own.
pub(crate) fn pass_on(span: &Span, headers: &mut HeaderMap) {
    if span.is_disabled() {
        return;
    }
    span.in_scope(|| {
        telemetry::inject(|name, value| {
            let name = http::HeaderName::try_from(name);
            if let (Ok(name), Ok(value)) = (name, http::HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        });
    });
}

/// Says what became of it. The provider is the kind of the backend: whose server it is, not who runs it.
pub(crate) fn end(span: &Span, operation: &str, usage: &Usage) {
    if span.is_disabled() {
        return;
    }
    if !usage.model.is_empty() {
        let name = format!("{operation} {}", usage.model);
        span.record("otel.name", &*name);
        telemetry::rename(span, name);
        span.record("gen_ai.request.model", &*usage.model);
    }
    if let (Some(provider), Some(backend)) = (usage.provider, &usage.backend) {
        span.record("gen_ai.provider.name", provider);
        span.record("gantry.backend", &**backend);
    }
    span.record("gen_ai.usage.input_tokens", usage.tally.tokens_in);
    span.record("gen_ai.usage.output_tokens", usage.tally.tokens_out);
    if usage.tally.tokens_cached > 0 {
        span.record("gen_ai.usage.cache_read.input_tokens", usage.tally.tokens_cached);
    }
    if let Some(first) = usage.first_token.filter(|_| usage.streamed) {
        span.record("gen_ai.response.time_to_first_chunk", first.as_secs_f64());
    }
    let error = match &usage.outcome {
        Outcome::Completed => return,
        Outcome::Aborted => "client_left",
        Outcome::Failed(code) => code.as_str(),
    };
    span.record("error.type", error);
    span.record("otel.status_code", "ERROR");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Tally;
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    /// Keeps what spans tell.
    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<BTreeMap<&'static str, String>>>);

    impl<S: tracing::Subscriber> Layer<S> for Told {
        fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
            attributes.record(&mut self.clone());
        }

        fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
            values.record(&mut self.clone());
        }
    }

    impl Visit for Told {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            self.0.lock().unwrap().insert(field.name(), format!("{value:?}").trim_matches('"').to_owned());
        }
    }

    fn usage(outcome: Outcome, streamed: bool) -> Usage {
        Usage {
            request_id: "r".into(),
            proxy: "p".into(),
            key: None,
            key_id: None,
            tenant: "t".into(),
            route: "/v1/chat/completions",
            model: "qwen3".into(),
            backend: Some("the big one".into()),
            provider: Some("vllm"),
            streamed,
            tally: Tally { tokens_in: 5, tokens_out: 2, tokens_cached: 3, told: true },
            first_token: Some(Duration::from_millis(250)),
            total: Duration::from_secs(1),
            outcome,
        }
    }

    fn told(usage: &Usage) -> BTreeMap<&'static str, String> {
        let told = Told::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(told.clone()), || {
            let span = begin(&HeaderMap::new(), "r", "chat");
            end(&span, "chat", usage);
        });
        told.0.lock().unwrap().clone()
    }

    #[test]
    fn a_span_names_the_kind_of_the_backend_as_its_provider_and_itself_by_operation_and_model() {
        let fields = told(&usage(Outcome::Completed, true));
        for (name, value) in [
            ("otel.name", "chat qwen3"),
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "vllm"),
            ("gen_ai.request.model", "qwen3"),
            ("gen_ai.usage.input_tokens", "5"),
            ("gen_ai.usage.cache_read.input_tokens", "3"),
            ("gen_ai.response.time_to_first_chunk", "0.25"),
            ("gantry.backend", "the big one"),
        ] {
            assert_eq!(fields.get(name).map(String::as_str), Some(value), "{name} in {fields:?}");
        }
        assert!(!fields.contains_key("error.type"), "{fields:?}");
    }

    #[test]
    fn only_a_stream_has_a_first_chunk_and_only_a_failure_an_error() {
        let fields = told(&usage(Outcome::Failed("upstream_disconnected".to_owned()), false));
        assert!(!fields.contains_key("gen_ai.response.time_to_first_chunk"), "{fields:?}");
        assert_eq!(fields["error.type"], "upstream_disconnected");
        assert_eq!(fields["otel.status_code"], "ERROR");
    }
}
