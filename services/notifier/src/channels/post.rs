//! One POST to an address that somebody else chose: guarded against private targets, bounded in time and answer.

use super::Attempt;
use super::signature::Signer;
use crate::NotifierError;
use crate::clock::now;
use domain::notices::AllowedTargets;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::{self, Policy};
use reqwest::{StatusCode, Url};
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Redirects followed at most.
const REDIRECTS: usize = 3;
/// Characters of an answer that are kept of a failure.
const SHOWN: usize = 200;

/// Posts to checked targets.
pub(crate) struct Poster {
    http: reqwest::Client,
    allowed: Arc<AllowedTargets>,
    signer: Signer,
}

/// A target that must not be posted to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host} is a private address; allow it with GANTRY_NOTIFY_ALLOW_TARGETS if it is meant")]
struct PrivateTarget {
    host: String,
}

impl Poster {
    pub(crate) fn new(
        channel: &str,
        allowed: &Arc<AllowedTargets>,
        signer: Signer,
        timeout: Duration,
    ) -> Result<Self, NotifierError> {
        let for_redirects = allowed.clone();
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(5)))
            // A proxy would look names up by itself, behind the guard.
            .no_proxy()
            .dns_resolver(Guarded(allowed.clone()))
            .redirect(Policy::custom(move |attempt| follow(attempt, &for_redirects)))
            .user_agent(concat!("gantry/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| NotifierError::Client { channel: channel.to_owned(), cause: chain(&error) })?;
        Ok(Self { http, allowed: allowed.clone(), signer })
    }

    /// Posts JSON under an id, signed at this moment.
    pub(crate) async fn post(&self, url: &str, id: &str, body: Vec<u8>) -> Attempt {
        let url = match Url::parse(url) {
            Ok(url) if is_http(&url) => url,
            Ok(_) | Err(_) => return Attempt::Never { why: "its address is no http or https URL".to_owned() },
        };
        if let Err(private) = check_literal(&url, &self.allowed) {
            return Attempt::Never { why: private.to_string() };
        }
        let timestamp = now().as_micros().div_euclid(1_000_000);
        let mut request = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp.to_string());
        if let Some(signature) = self.signer.sign(id, timestamp, &body) {
            request = request.header("webhook-signature", signature);
        }
        match request.body(body).send().await {
            Ok(response) => judge(response).await,
            Err(error) => match cause::<PrivateTarget>(&error) {
                Some(private) => Attempt::Never { why: private.to_string() },
                None => Attempt::Later { why: chain(&error.without_url()), after: None },
            },
        }
    }
}

/// What an answer means. Everything but success may change: a receiver that is being set up answers 404 for a while.
async fn judge(response: reqwest::Response) -> Attempt {
    let status = response.status();
    if status.is_success() {
        return Attempt::Delivered;
    }
    let after = retry_after(response.headers());
    let why = refusal(response).await;
    match status {
        StatusCode::GONE => Attempt::Gone { why },
        StatusCode::TOO_MANY_REQUESTS => Attempt::Limited { why, after },
        _ => Attempt::Later { why, after },
    }
}

/// The status of an answer and how its body begins.
pub(crate) async fn refusal(mut response: reqwest::Response) -> String {
    let status = response.status();
    let begin = response.chunk().await.ok().flatten().unwrap_or_default();
    let text: String = String::from_utf8_lossy(&begin).chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    if text.is_empty() { format!("answered {status}") } else { format!("answered {status}: {text}") }
}

/// Seconds, as RFC 9110 has them; a date is not taken.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// An error with its causes, each once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// An address in a URL meets no resolver, so it is checked here. Names are checked when they are looked up.
fn check_literal(url: &Url, allowed: &AllowedTargets) -> Result<(), PrivateTarget> {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) if !allowed.permit(bare, address) => Err(PrivateTarget { host: host.to_owned() }),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Only redirects that keep the POST a POST are followed, never from https down to http, and never to a private target.
fn follow(attempt: redirect::Attempt<'_>, allowed: &AllowedTargets) -> redirect::Action {
    let keeps = matches!(attempt.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    let secure = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if !keeps || attempt.previous().len() > REDIRECTS || !is_http(attempt.url()) {
        return attempt.stop();
    }
    if secure && attempt.url().scheme() != "https" {
        return attempt.stop();
    }
    match check_literal(attempt.url(), allowed) {
        Ok(()) => attempt.follow(),
        Err(private) => attempt.error(private),
    }
}

/// Looks names up and lets only permitted addresses through, so that what was checked is what is connected to.
struct Guarded(Arc<AllowedTargets>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.0.clone();
        Box::pin(async move {
            let host = name.as_str();
            let found = tokio::net::lookup_host((host, 0)).await?;
            let permitted: Vec<SocketAddr> = found.filter(|address| allowed.permit(host, address.ip())).collect();
            if permitted.is_empty() {
                return Err(PrivateTarget { host: host.to_owned() }.into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}
