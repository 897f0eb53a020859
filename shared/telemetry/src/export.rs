//! Export of traces over OTLP/HTTP, off unless an endpoint is configured.

use crate::TelemetryError;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::time::Duration;
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

const TIMEOUT: Duration = Duration::from_secs(10);
const PATH: &str = "/v1/traces";
/// Whatever the export itself does must not become a trace, or it would feed itself.
const SILENT: [&str; 5] = ["hyper", "hyper_util", "reqwest", "rustls", "opentelemetry"];

/// Sends spans in batches to the endpoint; they queue up to the library's bound and are dropped beyond it.
pub(crate) fn provider(service: &str, endpoint: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let refuse = |reason: String| TelemetryError::Export { endpoint: endpoint.to_owned(), reason };
    let runtime = Handle::try_current().map_err(|error| refuse(error.to_string()))?;
    let client = reqwest::Client::builder().timeout(TIMEOUT).build().map_err(|error| refuse(error.to_string()))?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(OnRuntime { runtime, client })
        .with_endpoint(traces_url(endpoint))
        .with_timeout(TIMEOUT)
        .build()
        .map_err(|error| refuse(error.to_string()))?;
    let resource = Resource::builder().with_service_name(service.to_owned()).build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// The layer that makes traces of spans.
pub(crate) fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let silent = SILENT.map(|target| (target, LevelFilter::OFF));
    let filter = Targets::new().with_default(LevelFilter::INFO).with_targets(silent);
    tracing_opentelemetry::layer().with_tracer(provider.tracer("gantry")).with_filter(filter)
}

fn traces_url(endpoint: &str) -> String {
    let base = endpoint.trim_end_matches('/');
    if base.ends_with(PATH) { base.to_owned() } else { format!("{base}{PATH}") }
}

/// The exporter runs on a thread of its own, where the HTTP client would find no runtime; so it is lent this one.
#[derive(Debug)]
struct OnRuntime {
    runtime: Handle,
    client: reqwest::Client,
}

#[async_trait::async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;
    use tracing_subscriber::layer::SubscriberExt;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn spans_arrive_at_a_collector() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (sent, mut arrived) = mpsc::channel(4);
        let collect = move |body: axum::body::Bytes| async move {
            let _ = sent.send(body).await;
        };
        let collector = axum::Router::new().route(PATH, axum::routing::post(collect));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = Handle::current().spawn(async move { axum::serve(listener, collector).await });

        let provider = provider("gantry-test", &endpoint).unwrap();
        let subscriber = tracing_subscriber::registry().with(layer(&provider));
        tracing::subscriber::with_default(subscriber, || drop(crate::run_span("run-7", "session-7").entered()));
        let telemetry = crate::Telemetry { metrics: crate::Metrics::detached(), provider: Some(provider) };
        telemetry.flush(Duration::from_secs(5)).await;

        let body = tokio::time::timeout(Duration::from_secs(5), arrived.recv()).await.unwrap().unwrap();
        let holds = |text: &str| body.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(holds("gantry-test") && holds("run_id") && holds("run-7"));
        server.abort();
    }

    #[test]
    fn the_path_of_the_traces_is_added_once() {
        for endpoint in ["http://c:4318", "http://c:4318/", "http://c:4318/v1/traces"] {
            assert_eq!(traces_url(endpoint), "http://c:4318/v1/traces");
        }
    }
}
