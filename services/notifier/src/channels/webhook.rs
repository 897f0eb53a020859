//! Notices as signed webhooks, in the shape that Standard Webhooks recommends: a type, a time and data.

use super::post::Poster;
use super::{Attempt, Channel};
use domain::Time;
use domain::notices::{Carried, Notice, Outgoing};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Serialize;

/// One address that notices are posted to.
pub(crate) struct Webhook {
    name: String,
    url: String,
    poster: Poster,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: Time,
    data: &'a Notice,
}

impl Webhook {
    pub(crate) fn new(url: &str, poster: Poster) -> Self {
        Self { name: Self::name_of(url), url: url.to_owned(), poster }
    }

    /// The name of an address's channel: it stays when others come and go.
    pub(crate) fn name_of(url: &str) -> String {
        let mut digest = domain::digest_hex(&[url.as_bytes()]);
        digest.truncate(8);
        format!("webhook-{digest}")
    }
}

impl Channel for Webhook {
    fn name(&self) -> &str {
        &self.name
    }

    fn attempt<'a>(&'a self, outgoing: &'a Outgoing) -> BoxFuture<'a, Attempt> {
        async move {
            let Carried::Notice(notice) = &outgoing.carried else {
                return Attempt::Never { why: "a webhook carries notices alone".to_owned() };
            };
            let kind = notice.kind.as_str().replace('_', ".");
            let body = Body { kind: &kind, timestamp: notice.at, data: notice };
            match serde_json::to_vec(&body) {
                Ok(body) => self.poster.post(&self.url, &outgoing.id, body).await,
                Err(error) => Attempt::Never { why: error.to_string() },
            }
        }
        .boxed()
    }

    fn target(&self) -> Option<&str> {
        Some(&self.url)
    }
}
