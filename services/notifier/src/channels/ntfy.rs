//! Pushes through an ntfy server: JSON to its root, so that any language arrives whole; one live card per subject.

use super::Attempt;
use super::post::{chain, refusal, retry_after};
use crate::NotifierError;
use crate::config::NtfyConfig;
use domain::digest_hex;
use domain::notices::{MOST_ACTIONS, Notice};
use reqwest::StatusCode;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// An ntfy server that does not answer within this is tried again.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of a text: above four KiB a server makes it an attachment.
const LONGEST_TEXT: usize = 3_500;
/// Characters of a title.
const LONGEST_TITLE: usize = 200;

/// One topic of one server.
pub(crate) struct Ntfy {
    http: reqwest::Client,
    config: NtfyConfig,
    /// Whether the server replaces a card by its sequence id (2.16 and newer). Learnt from its answers.
    replaces: AtomicBool,
}

#[derive(Serialize)]
struct Publish<'a> {
    topic: &'a str,
    title: String,
    message: String,
    priority: u8,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    click: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<View<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence_id: Option<String>,
}

#[derive(Serialize)]
struct View<'a> {
    action: &'static str,
    label: &'a str,
    url: &'a str,
}

#[derive(Deserialize)]
struct Published {
    sequence_id: Option<String>,
}

impl Ntfy {
    /// Its channel's name.
    pub(crate) const NAME: &'static str = "ntfy";

    pub(crate) fn new(config: NtfyConfig) -> Result<Self, NotifierError> {
        if config.is_read_by_all() {
            tracing::warn!(
                server = config.url,
                topic = config.topic,
                "everybody can read these pushes: set NTFY_TOPIC to a name that nobody guesses, or NTFY_URL to your server"
            );
        }
        let http = reqwest::Client::builder()
            .timeout(ANSWER_WITHIN)
            .user_agent(concat!("gantry/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| NotifierError::Client { channel: Self::NAME.to_owned(), cause: chain(&error) })?;
        Ok(Self { http, config, replaces: AtomicBool::new(true) })
    }

    /// Whether a notice is left out: where no card is replaced, only the first and the last word on a subject are told.
    pub(crate) fn leaves_out(&self, notice: &Notice) -> bool {
        notice.passing && !self.replaces.load(Ordering::Relaxed)
    }

    /// Tries once to push.
    pub(crate) async fn push(&self, notice: &Notice) -> Attempt {
        if self.leaves_out(notice) {
            return Attempt::Delivered;
        }
        let publish = message(&self.config.topic, notice);
        let carded = publish.sequence_id.is_some();
        let mut request = self.http.post(&self.config.url).json(&publish);
        if let Some(token) = &self.config.token {
            request = request.bearer_auth(token.expose_secret());
        } else if let Some((user, password)) = &self.config.login {
            request = request.basic_auth(user, Some(password.expose_secret()));
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Attempt::Later { why: chain(&error.without_url()), after: None },
        };
        let (status, after) = (response.status(), retry_after(response.headers()));
        match status {
            status if status.is_success() => {
                if carded {
                    self.learn(response).await;
                }
                Attempt::Delivered
            }
            StatusCode::TOO_MANY_REQUESTS => Attempt::Limited { why: refusal(response).await, after },
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => Attempt::Never { why: refusal(response).await },
            // Access may be granted, and a server may be repaired.
            _ => Attempt::Later { why: refusal(response).await, after },
        }
    }

    /// A server that knows sequence ids repeats the one it was given.
    async fn learn(&self, response: reqwest::Response) {
        if let Ok(published) = response.json::<Published>().await {
            self.replaces.store(published.sequence_id.is_some(), Ordering::Relaxed);
        }
    }
}

fn message<'a>(topic: &'a str, notice: &'a Notice) -> Publish<'a> {
    let actions = notice.actions.iter().take(MOST_ACTIONS);
    Publish {
        topic,
        title: notice.title.chars().take(LONGEST_TITLE).collect(),
        message: cut(&notice.text, LONGEST_TEXT),
        priority: notice.priority.number(),
        tags: &notice.tags,
        click: notice.click.as_deref(),
        actions: actions.map(|action| View { action: "view", label: &action.label, url: &action.url }).collect(),
        sequence_id: notice.subject.as_ref().map(|subject| {
            let mut digest = digest_hex(&[subject.as_bytes()]);
            digest.truncate(32);
            digest
        }),
    }
}

/// The text, or as much of it as fits, cut between characters.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let cut = cut(&"ü".repeat(4_000), LONGEST_TEXT);
        assert!(cut.len() <= LONGEST_TEXT + '…'.len_utf8() && cut.ends_with("ü…"), "{}", cut.len());
        assert_eq!(super::cut("short", LONGEST_TEXT), "short");
    }
}
