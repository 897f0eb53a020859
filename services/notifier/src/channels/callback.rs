//! The end of a job, posted to the address that its submitter gave.

use super::post::Poster;
use super::{Attempt, Channel};
use domain::notices::{Carried, Outgoing};
use futures::FutureExt;
use futures::future::BoxFuture;

/// All callbacks.
pub(crate) struct Callbacks {
    poster: Poster,
}

impl Callbacks {
    pub(crate) fn new(poster: Poster) -> Self {
        Self { poster }
    }
}

impl Channel for Callbacks {
    fn name(&self) -> &str {
        Outgoing::CALLBACKS
    }

    fn attempt<'a>(&'a self, outgoing: &'a Outgoing) -> BoxFuture<'a, Attempt> {
        async move {
            let Carried::Callback(callback) = &outgoing.carried else {
                return Attempt::Never { why: "a callback carries the end of a job alone".to_owned() };
            };
            match serde_json::to_vec(&callback.body) {
                Ok(body) => self.poster.post(&callback.url, &outgoing.id, body).await,
                Err(error) => Attempt::Never { why: error.to_string() },
            }
        }
        .boxed()
    }

    /// Each job has its own address, so a gone one says nothing of the next.
    fn target(&self) -> Option<&str> {
        None
    }
}
