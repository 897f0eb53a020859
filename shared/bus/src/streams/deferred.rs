//! The streams of model requests that became jobs.

use super::{DEFERRED, DEFERRED_BODIES, Layout, base};
use async_nats::jetstream::stream;

/// Model requests that became jobs, one message each, written anew under a fence; those that ended go by their own time
/// to live.
pub(super) fn jobs(layout: Layout) -> stream::Config {
    stream::Config {
        max_messages_per_subject: 1,
        allow_message_ttl: true,
        ..base(
            DEFERRED.to_owned(),
            vec!["gantry.deferred.job.*".to_owned()],
            layout,
            "model requests that became jobs, fenced, followed by every proxy",
        )
    }
}

/// Their requests and answers, in parts; each goes by its own time to live.
pub(super) fn bodies(layout: Layout) -> stream::Config {
    stream::Config {
        max_messages_per_subject: 1,
        allow_message_ttl: true,
        ..base(
            DEFERRED_BODIES.to_owned(),
            vec!["gantry.deferred.body.*.*.*".to_owned()],
            layout,
            "requests and answers of model requests that became jobs, in parts",
        )
    }
}
