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
        "gen_ai.operation.name" = operation,
        "gen_ai.request.model" = Empty,
        "gen_ai.provider.name" = Empty,
        "gen_ai.usage.input_tokens" = Empty,
        "gen_ai.usage.output_tokens" = Empty,
        "gen_ai.server.time_to_first_token" = Empty,
        "error.type" = Empty,
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

/// Says what became of it.
pub(crate) fn end(span: &Span, usage: &Usage) {
    if span.is_disabled() {
        return;
    }
    span.record("gen_ai.request.model", &*usage.model);
    if let Some(provider) = usage.provider {
        span.record("gen_ai.provider.name", provider);
    }
    span.record("gen_ai.usage.input_tokens", usage.tally.tokens_in);
    span.record("gen_ai.usage.output_tokens", usage.tally.tokens_out);
    if let Some(first) = usage.first_token {
        span.record("gen_ai.server.time_to_first_token", first.as_secs_f64());
    }
    match &usage.outcome {
        Outcome::Completed => {}
        Outcome::Aborted => {
            span.record("error.type", "client_left");
        }
        Outcome::Failed(code) => {
            span.record("error.type", code.as_str());
        }
    }
}
