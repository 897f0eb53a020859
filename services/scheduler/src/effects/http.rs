//! Speaking to services: addresses, headers and bounded bodies.

use super::Target;
use crate::address;
use crate::config::Config;
use domain::control::ServiceRecord;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, Url};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A longer answer is refused: it has to fit into one message of the broker.
const MOST_BYTES: usize = 3 * 1024 * 1024;
/// How much of a refusal's body is told.
const TOLD_BYTES: usize = 2_048;
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// The HTTP clients.
pub(crate) struct Http {
    /// For containers, which are where we put them.
    inside: Client,
    /// For addresses that a person registered.
    outside: Client,
    config: Arc<Config>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// Nothing answers there.
    #[error("{url} cannot be reached: {cause}")]
    Unreachable { url: String, cause: String },
    /// The exchange broke off.
    #[error("the exchange with {url} failed: {cause}")]
    Broken { url: String, cause: String },
    /// It said no.
    #[error("{url} answered {status}{}", told(.body))]
    Refused { url: String, status: u16, body: String },
    /// It said too much.
    #[error("{url} answered more than {MOST_BYTES} bytes; let the service store large results and answer with where")]
    TooLarge { url: String },
    /// What is registered is no address.
    #[error(transparent)]
    Address(#[from] address::AddressError),
}

fn told(body: &str) -> String {
    if body.is_empty() { String::new() } else { format!(": {body}") }
}

impl Http {
    pub(crate) fn new(config: Arc<Config>) -> Result<Self, reqwest::Error> {
        let builder = || {
            Client::builder()
                .redirect(Policy::none())
                .connect_timeout(CONNECT_WITHIN)
                .tcp_nodelay(true)
                .no_proxy()
                .user_agent(concat!("gantry/", env!("CARGO_PKG_VERSION")))
        };
        let mut outside = builder();
        if !config.private_addresses {
            outside = outside.dns_resolver(Arc::new(PublicOnly));
        }
        Ok(Self { inside: builder().build()?, outside: outside.build()?, config })
    }

    /// A path of a service. The path is set, never pasted: it cannot change the host.
    pub(crate) fn url(&self, target: &Target, path: &str) -> Result<Url, address::AddressError> {
        let wrong = |url: &str| address::AddressError::Url { url: url.to_owned() };
        let mut url = match (&target.record.url, target.record.port) {
            (Some(url), _) => address::base(url, self.config.private_addresses)?,
            (None, Some(port)) => {
                let host = self.config.node_addresses.get(&target.node).map_or("127.0.0.1", String::as_str);
                let text = format!("http://{host}:{port}");
                Url::parse(&text).map_err(|_| wrong(&text))?
            }
            (None, None) => return Err(address::AddressError::Neither),
        };
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(path);
        url.set_query(query);
        Ok(url)
    }

    /// Where a service is reached, without a path; none if its registration leads nowhere.
    pub(crate) fn base(&self, record: &ServiceRecord, node: Option<&str>) -> Option<String> {
        let target = Target { record: record.clone(), node: node.unwrap_or_default().to_owned() };
        self.url(&target, "").ok().map(|url| url.as_str().trim_end_matches('/').to_owned())
    }

    /// A GET of a path of a service.
    pub(crate) fn get(&self, target: &Target, path: &str) -> Result<RequestBuilder, address::AddressError> {
        Ok(self.client(target).get(self.url(target, path)?))
    }

    /// A POST of JSON to a path of a service.
    pub(crate) fn post(
        &self,
        target: &Target,
        path: &str,
        body: String,
    ) -> Result<RequestBuilder, address::AddressError> {
        let request = self.client(target).post(self.url(target, path)?);
        Ok(request.header("content-type", "application/json").body(body))
    }

    fn client(&self, target: &Target) -> &Client {
        if target.record.url.is_some() { &self.outside } else { &self.inside }
    }
}

/// Sends a request and takes a good answer's whole body.
pub(crate) async fn exchange(request: RequestBuilder) -> Result<Vec<u8>, HttpError> {
    let response = request.send().await.map_err(|error| broken(&error))?;
    let status = response.status();
    let url = shown(response.url());
    if status.is_success() {
        return body_of(response, MOST_BYTES, &url).await?.ok_or(HttpError::TooLarge { url });
    }
    let body = body_of(response, MOST_BYTES, &url).await.ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    let body: String = text.trim().chars().take(TOLD_BYTES).collect();
    Err(HttpError::Refused { url, status: status.as_u16(), body })
}

async fn body_of(mut response: Response, most: usize, url: &str) -> Result<Option<Vec<u8>>, HttpError> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(Some(body)),
            Ok(Some(chunk)) if body.len() + chunk.len() > most => return Ok(None),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Err(error) => return Err(HttpError::Broken { url: url.to_owned(), cause: causes(&error) }),
        }
    }
}

fn broken(error: &reqwest::Error) -> HttpError {
    let url = error.url().map(shown).unwrap_or_default();
    let cause = causes(error);
    if error.is_connect() { HttpError::Unreachable { url, cause } } else { HttpError::Broken { url, cause } }
}

fn shown(url: &Url) -> String {
    url.as_str().to_owned()
}

/// The innermost words: the outer ones only say that something failed.
fn causes(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// Resolves names, but never to this machine or network: a name that is checked once may point elsewhere later.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| address::is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(address::AddressError::Private { host }.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}
