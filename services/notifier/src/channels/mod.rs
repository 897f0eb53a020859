//! Ways out of the gateway, one file each.

pub(crate) mod callback;
pub(crate) mod limit;
pub(crate) mod ntfy;
pub(crate) mod post;
pub(crate) mod signature;
pub(crate) mod webhook;

use domain::notices::Outgoing;
use futures::future::BoxFuture;
use std::time::Duration;

/// What became of one attempt to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// It arrived.
    Delivered,
    /// It did not, and may another time; perhaps the other side said when.
    Later { why: String, after: Option<Duration> },
    /// The other side wants less, not this message: nothing is sent to it for a while.
    Limited { why: String, after: Option<Duration> },
    /// It never will.
    Never { why: String },
    /// The target wants nothing any more.
    Gone { why: String },
}

/// A way out that takes one message at a time, several of them at once.
pub(crate) trait Channel: Send + Sync + 'static {
    /// Its name, a token of subjects.
    fn name(&self) -> &str;

    /// Tries once to deliver.
    fn attempt<'a>(&'a self, outgoing: &'a Outgoing) -> BoxFuture<'a, Attempt>;

    /// What is remembered as disabled when the target is gone; none if a gone target says nothing of the next message.
    fn target(&self) -> Option<&str>;
}
