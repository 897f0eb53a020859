//! How a connection to a backend is made: TCP, and TLS where its URL asks for it.

use super::stream::Stream;
use http::Uri;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::timeout;
use tower::Service;

pub(super) type ConnectError = Box<dyn std::error::Error + Send + Sync>;

/// Makes connections.
#[derive(Clone, Debug)]
pub(super) struct Connector(Arc<rustls::ClientConfig>);

impl Connector {
    /// One that trusts whom this machine trusts.
    pub(super) fn new() -> Self {
        Self(tls())
    }

    /// A new connection to the server of that URL, which must stand within that time, its TLS included.
    pub(super) async fn connect(&self, origin: Uri, within: Duration) -> Result<Stream, ConnectError> {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        // Shared out among the addresses of a name, so that one of them that is dead is no end.
        http.set_connect_timeout(Some(within));
        http.set_keepalive(Some(Duration::from_secs(60)));
        let connecting = HttpsConnector::from((http, Arc::clone(&self.0))).call(origin);
        let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
        Ok(Stream::new(timeout(within, connecting).await.map_err(late)??))
    }
}

/// Plain TLS with the machine's certificate authorities, read once; without any, `https` backends cannot be trusted.
fn tls() -> Arc<rustls::ClientConfig> {
    static CONFIG: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
    Arc::clone(CONFIG.get_or_init(|| Arc::new(build_tls())))
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
