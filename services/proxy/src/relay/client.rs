//! The one pooled HTTP client, and one request over it.

use super::connect::{Counted, Uses};
use crate::error::ProxyError;
use crate::json::Pieces;
use crate::routing::Backend;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::{HttpConnector, capture_connection};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

type Pool = Client<Counted, Pieces>;

/// Idle connections are closed before most servers close them.
const IDLE: Duration = Duration::from_secs(4);
const IDLE_PER_HOST: usize = 256;

/// Connections to every backend.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    pool: Pool,
    connect_timeout: Duration,
}

/// A request that can be sent more than once.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Pieces,
}

impl Upstream {
    /// A client whose connections must stand within that time.
    pub(crate) fn new(connect_timeout: Duration) -> Self {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        http.set_connect_timeout(Some(connect_timeout));
        http.set_keepalive(Some(Duration::from_secs(60)));
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls()).https_or_http().enable_http1().wrap_connector(http);
        let pool = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .build(Counted(connector));
        Self { pool, connect_timeout }
    }

    /// Sends it and waits for the head of the answer. A pooled connection that the backend had closed in the meantime
    /// is no failure: the call is repeated once, on a fresh one. Dropping the future closes the connection.
    pub(crate) async fn send(&self, backend: &Backend, call: &Call) -> Result<Response<Incoming>, ProxyError> {
        match self.send_once(backend, call).await {
            Err((_, true)) => self.send_once(backend, call).await,
            other => other,
        }
        .map_err(|(error, _)| error)
    }

    async fn send_once(&self, backend: &Backend, call: &Call) -> Result<Response<Incoming>, (ProxyError, bool)> {
        let mut request = Request::new(call.body.clone());
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = call.uri.clone();
        *request.headers_mut() = call.headers.clone();
        let connection = capture_connection(&mut request);
        let answer = self.pool.request(request).await;
        let used = uses(&connection).map_or(0, |uses| uses.fetch_add(1, Ordering::Relaxed));
        answer.map_err(|error| (self.explain(backend, &error), used > 0 && is_closed(&error)))
    }

    fn explain(&self, backend: &Backend, error: &legacy::Error) -> ProxyError {
        let backend = backend.name().to_owned();
        if !error.is_connect() {
            return ProxyError::Disconnected { backend, reason: root(error) };
        }
        if chain(error).any(|cause| is_io(cause, std::io::ErrorKind::TimedOut)) {
            return ProxyError::ConnectTimeout { backend, after: self.connect_timeout };
        }
        ProxyError::Unreachable { backend, reason: root(error) }
    }
}

/// Plain TLS with the machine's certificate authorities, read once; without any, `https` backends cannot be trusted.
fn tls() -> rustls::ClientConfig {
    static CONFIG: OnceLock<rustls::ClientConfig> = OnceLock::new();
    CONFIG.get_or_init(build_tls).clone()
}

#[expect(clippy::expect_used, reason = "ring offers both versions that are asked for, whatever the machine")]
fn build_tls() -> rustls::ClientConfig {
    use hyper_rustls::ConfigBuilderExt;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = || {
        rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the default versions")
    };
    match builder().with_native_roots() {
        Ok(config) => config.with_no_client_auth(),
        Err(error) => {
            tracing::warn!(%error, "no certificate authorities were found; backends with https will be refused");
            builder().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
        }
    }
}

fn uses(connection: &legacy::connect::CaptureConnection) -> Option<Arc<AtomicU32>> {
    let mut extras = http::Extensions::new();
    connection.connection_metadata().as_ref()?.get_extras(&mut extras);
    extras.get::<Uses>().map(|uses| Arc::clone(&uses.0))
}

fn chain<'a>(error: &'a legacy::Error) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |cause| {
        let cause: &'a (dyn std::error::Error + 'static) = *cause;
        cause.source()
    })
}

fn is_io(cause: &(dyn std::error::Error + 'static), kind: std::io::ErrorKind) -> bool {
    cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == kind)
}

/// Whether the connection was closed before a byte of the answer came.
fn is_closed(error: &legacy::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
    chain(error).any(|cause| {
        cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message)
            || is_io(cause, ConnectionReset)
            || is_io(cause, BrokenPipe)
    })
}

fn root(error: &legacy::Error) -> String {
    chain(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Reads an answer whole, up to a bound.
pub(crate) async fn read_whole(backend: &Backend, body: Incoming, limit: usize) -> Result<Bytes, ProxyError> {
    use http_body_util::{BodyExt, LengthLimitError, Limited};
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ProxyError::BadReply {
            backend: backend.name().to_owned(),
            reason: format!("it is longer than {limit} bytes"),
        }),
        Err(error) => Err(ProxyError::Disconnected { backend: backend.name().to_owned(), reason: error.to_string() }),
    }
}
