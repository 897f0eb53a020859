//! What a client says in `Prefer`, `Idempotency-Key` and `Gantry-Callback`.

use crate::config::OverflowConfig;
use crate::error::ProxyError;
use domain::notices::check_callback;
use http::{HeaderMap, HeaderName};
use std::time::Duration;

const PREFER: HeaderName = HeaderName::from_static("prefer");
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const CALLBACK: HeaderName = HeaderName::from_static("gantry-callback");
/// Bytes of an idempotency key.
const KEY_BYTES: usize = 255;

/// A client's wish to have its request as a job where it cannot be served at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// How long it waits for a place first.
    pub(crate) wait: Duration,
    /// Names the job among those of this caller.
    pub(super) key: Option<String>,
    /// Where the end is told.
    pub(super) callback: Option<String>,
}

impl Wish {
    /// Reads it; none if the client said no `respond-async`. Other preferences are left to others.
    pub(crate) fn read(headers: &HeaderMap, config: &OverflowConfig) -> Result<Option<Self>, ProxyError> {
        let mut wish = None;
        let mut wait = None;
        for value in headers.get_all(PREFER) {
            for preference in value.to_str().unwrap_or_default().split(',') {
                // What follows a semicolon are parameters, which neither of these has.
                let word = preference.split(';').next().unwrap_or_default().trim();
                let (name, value) =
                    word.split_once('=').map_or((word, ""), |(name, value)| (name.trim(), value.trim()));
                if name.eq_ignore_ascii_case("respond-async") {
                    wish = Some(());
                } else if name.eq_ignore_ascii_case("wait") && wait.is_none() {
                    wait = Some(value.trim_matches('"').to_owned());
                }
            }
        }
        if wish.is_none() {
            return Ok(None);
        }
        let wait = wait.map_or(Ok(0), |text| text.parse::<u32>().map_err(|_| bad_wait(&text)))?;
        let callback = text(headers, &CALLBACK)?;
        if let Some(url) = &callback {
            check_callback(url, &config.callback_targets)
                .map_err(|why| ProxyError::Unsupported(format!("the header Gantry-Callback {why}")))?;
        }
        let key = text(headers, &KEY)?;
        if key.as_ref().is_some_and(|key| key.is_empty() || key.len() > KEY_BYTES) {
            let what = format!("the header Idempotency-Key must hold 1 to {KEY_BYTES} bytes");
            return Err(ProxyError::Unsupported(what));
        }
        Ok(Some(Self { wait: Duration::from_secs(wait.into()), key, callback }))
    }
}

fn bad_wait(text: &str) -> ProxyError {
    let shown: String = text.chars().take(40).collect();
    ProxyError::Unsupported(format!(
        "'wait={shown}' in the header Prefer is no whole number of seconds such as wait=10"
    ))
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, ProxyError> {
    let read = |value: &http::HeaderValue| {
        let text = value.to_str().map(|text| text.trim().to_owned());
        text.map_err(|_| ProxyError::Unsupported(format!("the header {name} holds something that is not ASCII text")))
    };
    headers.get(name).map(read).transpose()
}
