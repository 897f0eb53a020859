//! How a connection to a backend is made: TCP, and TLS where its URL asks for it.

use super::stream::Stream;
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tower::Service;

pub(super) type ConnectError = Box<dyn std::error::Error + Send + Sync>;

/// Makes connections.
#[derive(Clone, Debug)]
pub(super) struct Connector(HttpsConnector<HttpConnector>);

impl Connector {
    /// One whose connections must stand within that time.
    pub(super) fn new(connect_timeout: Duration) -> Self {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        http.set_connect_timeout(Some(connect_timeout));
        http.set_keepalive(Some(Duration::from_secs(60)));
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls()).https_or_http().enable_http1();
        Self(builder.wrap_connector(http))
    }

    /// A new connection to the server of that URL.
    pub(super) async fn connect(&self, origin: Uri) -> Result<Stream, ConnectError> {
        Ok(Stream::new(self.0.clone().call(origin).await?))
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
