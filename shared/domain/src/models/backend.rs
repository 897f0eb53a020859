//! A model server as it is stored.

use super::Fault;
use crate::control::BACKEND_KINDS;
use crate::keys::is_key_name;
use crate::limits;
use http::Uri;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a backend may be said to be able to do.
pub const CAPABILITIES: [&str; 9] =
    ["chat", "completions", "embeddings", "messages", "responses", "rerank", "speech", "transcriptions", "images"];
/// Kinds whose servers can be put to sleep.
pub const SLEEPERS: [&str; 1] = ["vllm"];
/// What may be said to become of a server's request when its client leaves.
pub const DISCONNECT_RULES: [&str; 3] = ["propagate", "drain", "abort"];
/// Kinds whose servers can be told to abort a request.
pub const ABORTERS: [&str; 1] = ["sglang"];
/// Longest time until an idle server is put to sleep, in seconds.
const LONGEST_SLEEP_AFTER_S: f64 = 1e9;

/// A model server; by default one of which nothing was said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BackendSpec {
    /// One of [`BACKEND_KINDS`].
    pub kind: String,
    /// Such as `http://vllm:8001/v1`.
    pub base_url: String,
    /// Sent as `Authorization: Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<UpstreamKey>,
    /// The same, out of a file that each proxy reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<String>,
    /// Requests it takes at once; none for no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// What it can do, where that differs from its kind: some of [`CAPABILITIES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<String>>,
    /// It is put to sleep when nobody has used it for so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sleep_after_s: Option<f64>,
    /// What becomes of its request when the client leaves, where that differs from its kind: one of [`DISCONNECT_RULES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_disconnect: Option<String>,
}

/// The key of a model server. It is written as it is where backends are stored, and never printed.
#[derive(Clone)]
pub struct UpstreamKey(SecretString);

impl UpstreamKey {
    /// The key of that text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The key as its server wants it.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

impl PartialEq for UpstreamKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl std::fmt::Debug for UpstreamKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UpstreamKey(…)")
    }
}

impl Serialize for UpstreamKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.expose_secret())
    }
}

impl<'de> Deserialize<'de> for UpstreamKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(text.into()))
    }
}

impl BackendSpec {
    /// Refuses a name and a backend that no proxy could use.
    pub fn check(&self, name: &str) -> Result<(), Fault> {
        if !is_key_name(name) {
            return Err(Fault::new("name", "must be 1 to 64 letters, digits, dots, dashes or underscores"));
        }
        if !BACKEND_KINDS.contains(&self.kind.as_str()) {
            return Err(Fault::new("kind", format!("'{}' is none of {}", self.kind, BACKEND_KINDS.join(", "))));
        }
        base_url(&self.base_url).map_err(|why| Fault::new("base_url", why))?;
        self.check_key()?;
        if self.concurrency.is_some_and(|count| !limits::COUNT.contains(&count)) {
            return Err(Fault::new("concurrency", format!("must be from 1 to {}", limits::COUNT.end())));
        }
        let words = self.capabilities.iter().flatten();
        if let Some(word) = words.map(String::as_str).find(|word| !CAPABILITIES.contains(word)) {
            return Err(Fault::new("capabilities", format!("'{word}' is none of {}", CAPABILITIES.join(", "))));
        }
        if self.capabilities.as_ref().is_some_and(|list| list.is_empty() || list.len() > CAPABILITIES.len()) {
            return Err(Fault::new("capabilities", "must name each of what it can do once, or be left out"));
        }
        self.check_rule()?;
        match self.sleep_after_s {
            Some(seconds) if !(0.0..LONGEST_SLEEP_AFTER_S).contains(&seconds) => {
                Err(Fault::new("sleep_after_s", "must be a number of seconds"))
            }
            Some(_) if !SLEEPERS.contains(&self.kind.as_str()) => Err(Fault::new(
                "sleep_after_s",
                format!(
                    "a server of kind '{}' cannot be put to sleep, only {} can; leave it out",
                    self.kind,
                    SLEEPERS.join(", ")
                ),
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn check_rule(&self) -> Result<(), Fault> {
        match self.on_disconnect.as_deref() {
            Some(rule) if !DISCONNECT_RULES.contains(&rule) => {
                let why = format!("'{rule}' is none of {}", DISCONNECT_RULES.join(", "));
                Err(Fault::new("on_disconnect", why))
            }
            Some("abort") if !ABORTERS.contains(&self.kind.as_str()) => {
                let why = format!("a server of kind '{}' cannot be told to abort a request", self.kind);
                Err(Fault::new("on_disconnect", why))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_key(&self) -> Result<(), Fault> {
        if self.api_key.is_some() && self.api_key_file.is_some() {
            return Err(Fault::new("api_key_file", "a backend has one key: leave out either api_key or api_key_file"));
        }
        if let Some(key) = &self.api_key {
            let text = key.secret().expose_secret();
            if text.is_empty()
                || text.len() > limits::UPSTREAM_KEY_BYTES
                || !text.bytes().all(|byte| (33..127).contains(&byte))
            {
                let most = limits::UPSTREAM_KEY_BYTES;
                return Err(Fault::new(
                    "api_key",
                    format!("must be 1 to {most} printable ASCII characters without spaces"),
                ));
            }
        }
        let wrong = |file: &&String| file.is_empty() || file.len() > 1_024 || file.chars().any(char::is_control);
        if self.api_key_file.as_ref().filter(wrong).is_some() {
            return Err(Fault::new("api_key_file", "must be the path of a file on the proxies' machines"));
        }
        Ok(())
    }
}

/// A base URL in its normal form: without a slash at the end, and with `/v1` where only a host was given.
pub fn base_url(url: &str) -> Result<String, String> {
    let trimmed = url.trim().trim_end_matches('/');
    if trimmed.len() > limits::URL_BYTES {
        return Err(format!("is longer than {} bytes", limits::URL_BYTES));
    }
    let uri: Uri = trimmed.parse().map_err(|_| format!("'{url}' is no URL"))?;
    // Whoever looks at the health of the backends sees their URLs.
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("its URL holds a user and a password; put the key into api_key".to_owned());
    }
    if !matches!(uri.scheme_str(), Some("http" | "https"))
        || uri.host().is_none_or(str::is_empty)
        || uri.query().is_some()
    {
        return Err(format!("'{url}' is not of the form http://host:port/v1"));
    }
    Ok(if uri.path().len() <= 1 { format!("{trimmed}/v1") } else { trimmed.to_owned() })
}
