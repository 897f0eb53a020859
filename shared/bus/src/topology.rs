//! The broker's layout as a text that people review: `nats/topology.txt` must equal it.

use crate::streams::{self, Layout};
use async_nats::jetstream::stream::StorageType;
use std::fmt::Write;

/// Streams, buckets and consumers for one shard and one copy, with every setting that matters.
pub fn text() -> String {
    let layout = Layout { shards: 1, replicas: 1 };
    let mut text = String::from(
        "# The broker's layout, printed from shared/bus (gantry topology). Shown for one shard and one replica;\n\
         # <shard> runs from 0, planes beyond default.main get a command stream each.\n",
    );
    for config in streams::all(layout) {
        let _ = write!(
            text,
            "\nstream {}\n  subjects    {}\n  retention   {:?}, discard {:?}\n  purpose     {}\n",
            config.name,
            config.subjects.join(" "),
            config.retention,
            config.discard,
            config.description.as_deref().unwrap_or_default(),
        );
        if config.storage == StorageType::Memory {
            let _ = writeln!(text, "  in memory");
        }
        for (name, on) in [
            ("schedules", config.allow_message_schedules),
            ("message ttl", config.allow_message_ttl),
            ("deny delete", config.deny_delete),
            ("deny purge", config.deny_purge),
        ] {
            if on {
                let _ = writeln!(text, "  {name}");
            }
        }
        if config.max_messages_per_subject > 0 {
            let _ = writeln!(text, "  keeps       {} per subject", config.max_messages_per_subject);
        }
        let age = config.max_age.as_secs();
        if age > 0 && age < 3_600 {
            let _ = writeln!(text, "  max age     {age} seconds");
        } else if age > 0 {
            let _ = writeln!(text, "  max age     {} days", age / 86_400);
        }
    }
    for bucket in
        [streams::catalog(layout), streams::keys(layout), streams::models::table(layout), streams::limits(layout)]
    {
        let memory = if bucket.storage == StorageType::Memory { ", in memory" } else { "" };
        let (name, purpose) = (bucket.bucket, bucket.description);
        let _ = write!(text, "\nbucket {name} (key-value{memory})\n  purpose     {purpose}\n");
    }
    let blobs = streams::blobs(layout);
    let _ = write!(
        text,
        "\nbucket {} (objects)\n  purpose     {}\n\
         \nconsumer {} on every inbox stream\n  pull, explicit ack, shared by all runners\n\
         \nconsumer {} on every command stream\n  pull, explicit ack, one message at a time\n\
         \nconsumer agent-<node> on {}, for each GPU host\n  pull, explicit ack, of that node's orders alone\n\
         \nconsumer notifier on {}\n  pull, explicit ack, notices of jobs and services\n\
         \nquestions gantry.scheduler.ask (core NATS, answered by the leading scheduler)\n\
         \nsigns of life gantry.deferred-holder (core NATS, from proxies that have deferred jobs in hand)\n\
         \nconsumer {} on {}, consumer {}-<name> on {} for each channel\n  pull, explicit ack, shared by all notifiers\n\
         \ntap gantry.run.<tenant>.<plane>.<run>.records (core NATS, after the records are stored)\n",
        blobs.bucket,
        blobs.description.unwrap_or_default(),
        streams::RUNNERS,
        streams::ROUTER,
        streams::NODE_ORDERS,
        streams::CONTROL,
        streams::NOTIFIER_ROUTER,
        streams::NOTICES,
        streams::NOTIFIER_CHANNEL,
        streams::OUTGOING,
    );
    text
}
