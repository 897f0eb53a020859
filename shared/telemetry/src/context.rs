//! The W3C trace context in headers of any kind: HTTP requests and broker messages carry it alike.

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use std::marker::PhantomData;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Hands the headers that carry the current trace to `set`: `traceparent` and, if there is one, `tracestate`.
/// Calls nothing when no trace is made.
pub fn inject(set: impl FnMut(&str, String)) {
    let mut headers = Setter(set);
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut headers);
}

/// Makes the span go on with the trace that the headers carry. `get` looks a header up by its lower-case name.
/// Without a valid header the span begins a trace of its own.
pub fn continue_from<'a>(span: &Span, get: impl Fn(&str) -> Option<&'a str>) {
    let parent = TraceContextPropagator::new().extract(&Getter(get, PhantomData));
    if parent.span().span_context().is_valid() {
        // An error means that no layer makes traces; then there is nothing to go on with.
        let _ = span.set_parent(parent);
    }
}

/// Gives a span another name, also once its trace was carried on; recording `otel.name` then comes too late.
pub fn rename(span: &Span, name: String) {
    span.context().span().update_name(name);
}

/// The id of the current trace, for a person who looks for it elsewhere.
pub fn trace_id() -> Option<String> {
    let context = Span::current().context();
    let span = context.span().span_context().clone();
    span.is_valid().then(|| span.trace_id().to_string())
}

struct Setter<F>(F);

impl<F: FnMut(&str, String)> Injector for Setter<F> {
    fn set(&mut self, key: &str, value: String) {
        // The propagator always names tracestate, even when there is none.
        if !value.is_empty() {
            (self.0)(key, value);
        }
    }
}

/// The lifetime is that of the headers, which outlive this look-up.
struct Getter<'a, F>(F, PhantomData<&'a str>);

impl<'a, F: Fn(&str) -> Option<&'a str>> Extractor for Getter<'a, F> {
    fn get(&self, key: &str) -> Option<&str> {
        (self.0)(key)
    }

    fn keys(&self) -> Vec<&str> {
        // The propagator asks by name and never lists.
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use std::collections::BTreeMap;
    use tracing_subscriber::layer::SubscriberExt;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers() -> BTreeMap<String, String> {
        let mut headers = BTreeMap::new();
        inject(|name, value| {
            headers.insert(name.to_owned(), value);
        });
        headers
    }

    fn with_traces(work: impl FnOnce()) {
        let provider = SdkTracerProvider::builder().build();
        let layer = crate::export::layer(&provider);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
    }

    #[test]
    fn a_trace_goes_on_across_a_message() {
        with_traces(|| {
            let span = tracing::info_span!("receive");
            continue_from(&span, |name| (name == "traceparent").then_some(PARENT));
            let _entered = span.entered();
            let sent = headers();
            assert!(sent["traceparent"].starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{sent:?}");
            assert_ne!(sent["traceparent"], PARENT, "the span is a child, not the parent itself");
            assert_eq!(trace_id().as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        });
    }

    #[test]
    fn a_broken_header_begins_a_new_trace() {
        with_traces(|| {
            let span = tracing::info_span!("receive");
            continue_from(&span, |_| Some("00-zz-yy-01"));
            let _entered = span.entered();
            assert_eq!(headers().len(), 1);
        });
    }

    #[test]
    fn without_export_no_header_is_set() {
        let span = tracing::info_span!("receive");
        continue_from(&span, |_| Some(PARENT));
        let _entered = span.entered();
        assert!(headers().is_empty());
    }
}
