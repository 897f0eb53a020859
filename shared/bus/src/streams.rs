//! The streams and buckets, declared once. Measured on nats-server 2.15; the reasons are beside each setting.

mod deferred;
pub(crate) mod models;

use async_nats::jetstream::{kv, object_store, stream};
use domain::Plane;
use domain::nodes::NodeId;
use std::time::Duration;

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// One server, every write synced before it is acknowledged: survives a power cut.
    Safe,
    /// One server, synced each second: survives a killed process, may lose the last second on a power cut.
    Fast,
    /// Three servers: survives the loss of one machine.
    Cluster,
}

impl Durability {
    /// The setting's words.
    pub const WORDS: [&'static str; 3] = ["safe", "fast", "cluster"];

    /// The durability of that word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "safe" => Some(Self::Safe),
            "fast" => Some(Self::Fast),
            "cluster" => Some(Self::Cluster),
            _ => None,
        }
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Fast => "fast",
            Self::Cluster => "cluster",
        }
    }
}

/// How the streams are laid out. Fixed when a broker is first provisioned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Pairs of ledger and inbox streams; a run belongs to one of them. More let syncs overlap.
    pub shards: u16,
    /// Copies of each stream.
    pub replicas: usize,
}

pub(crate) const WAITS: &str = "GANTRY_WAITS";
pub(crate) const OUTCOMES: &str = "GANTRY_OUTCOMES";
pub(crate) const USAGE: &str = "GANTRY_USAGE";
pub(crate) const CONTROL: &str = "GANTRY_CONTROL";
pub(crate) const REQUESTS: &str = "GANTRY_REQUESTS";
pub(crate) const JOBS: &str = "GANTRY_JOBS";
pub(crate) const LEASES: &str = "GANTRY_LEASES";
pub(crate) const CATALOG: &str = "GANTRY_CATALOG";
pub(crate) const BLOBS: &str = "GANTRY_BLOBS";
pub(crate) const KEYS: &str = "GANTRY_KEYS";
pub(crate) const LIMITS: &str = "GANTRY_LIMITS";
pub(crate) const MODELS: &str = "GANTRY_MODELS";
pub(crate) const PROXIES: &str = "GANTRY_PROXIES";
pub(crate) const NODE_REPORTS: &str = "GANTRY_NODE_REPORTS";
pub(crate) const SEATS: &str = "GANTRY_SEATS";
pub(crate) const OFFERS: &str = "GANTRY_OFFERS";
pub(crate) const DEFERRED: &str = "GANTRY_DEFERRED";
pub(crate) const DEFERRED_BODIES: &str = "GANTRY_DEFERRED_BODIES";
pub(crate) const NODE_ORDERS: &str = "GANTRY_NODE_ORDERS";
pub(crate) const NODE_EVENTS: &str = "GANTRY_NODE_EVENTS";
pub(crate) const NOTICES: &str = "GANTRY_NOTICES";
pub(crate) const OUTGOING: &str = "GANTRY_OUTGOING";
pub(crate) const DEAD_LETTERS: &str = "GANTRY_DEAD_LETTERS";
pub(crate) const NOTIFIER: &str = "GANTRY_NOTIFIER";
pub(crate) const NOTIFIER_ROUTER: &str = "notifier";
pub(crate) const NOTIFIER_CHANNEL: &str = "channel";
pub(crate) const RUNNERS: &str = "runners";
pub(crate) const ROUTER: &str = "router";
pub(crate) const SHARDS_KEY: &str = "gantry-shards";

pub(crate) fn ledger_name(shard: u16) -> String {
    format!("GANTRY_LEDGER_{shard}")
}

pub(crate) fn inbox_name(shard: u16) -> String {
    format!("GANTRY_INBOX_{shard}")
}

/// The consumer of a node's orders.
pub(crate) fn agent_name(node: &NodeId) -> String {
    format!("agent-{node}")
}

pub(crate) fn commands_name(plane: &Plane) -> String {
    format!("GANTRY_COMMANDS_{}_{}", plane.tenant(), plane.plane())
}

fn base(name: String, subjects: Vec<String>, layout: Layout, description: &str) -> stream::Config {
    stream::Config {
        name,
        subjects,
        description: Some(description.to_owned()),
        num_replicas: layout.replicas,
        storage: stream::StorageType::File,
        allow_direct: true,
        max_message_size: i32::try_from(domain::limits::MESSAGE_BYTES).unwrap_or(i32::MAX),
        compression: Some(stream::Compression::S2),
        ..Default::default()
    }
}

/// One message per step: its records, the run's whole state, the effects owed. `discard: new` refuses a write when the
/// stream is full instead of dropping history; nothing may be deleted out of it.
pub(crate) fn ledger(shard: u16, layout: Layout) -> stream::Config {
    stream::Config {
        discard: stream::DiscardPolicy::New,
        deny_delete: true,
        metadata: [(SHARDS_KEY.to_owned(), layout.shards.to_string())].into(),
        ..base(
            ledger_name(shard),
            vec![format!("gantry.ledger.{shard}.>")],
            layout,
            "run ledgers: one message per step, fenced by the run's last sequence",
        )
    }
}

/// What runs have to take in, and their timers. Not a work queue, which syncs a write for every acknowledgement where
/// writes are synced: what all runners together have acknowledged is dropped many messages at a time. No limit by age or
/// size, which would silently drop timers and messages; a stream with schedules cannot refuse new ones.
pub(crate) fn inbox(shard: u16, layout: Layout) -> stream::Config {
    stream::Config {
        allow_message_schedules: true,
        allow_message_ttl: true,
        allow_rollup: true,
        duplicate_window: Duration::from_secs(120),
        ..base(
            inbox_name(shard),
            vec![format!("gantry.inbox.{shard}.>"), format!("gantry.timer.{shard}.>")],
            layout,
            "run inboxes (doorbells) and timers",
        )
    }
}

/// The command log of a plane. A command's position in it is its `seq`, so nothing else may be published here; one
/// subject per command id makes a repeated id visible for ever.
pub(crate) fn commands(plane: &Plane, layout: Layout) -> stream::Config {
    stream::Config {
        discard: stream::DiscardPolicy::New,
        deny_delete: true,
        deny_purge: true,
        ..base(
            commands_name(plane),
            vec![format!("gantry.command.{plane}.>")],
            layout,
            "command log of one data plane: the stream sequence is the command's seq",
        )
    }
}

/// Which runs wait for which event; written before the ledger shows the wait.
pub(crate) fn waits(layout: Layout) -> stream::Config {
    stream::Config {
        max_messages_per_subject: 1,
        ..base(WAITS.to_owned(), vec!["gantry.wait.>".to_owned()], layout, "index: event key to waiting runs")
    }
}

/// What became of commands, kept for thirty days.
pub(crate) fn outcomes(layout: Layout) -> stream::Config {
    stream::Config {
        max_messages_per_subject: 1,
        max_age: Duration::from_secs(30 * 24 * 3600),
        ..base(OUTCOMES.to_owned(), vec!["gantry.outcome.>".to_owned()], layout, "outcomes of commands")
    }
}

/// Accounts of model requests, kept for ninety days; the sums in the read model stay.
pub(crate) fn usage(layout: Layout) -> stream::Config {
    stream::Config {
        max_age: Duration::from_secs(90 * 24 * 3600),
        ..base(USAGE.to_owned(), vec!["gantry.usage.>".to_owned()], layout, "accounts of model requests")
    }
}

/// How each GPU host is. In memory: a report is worth nothing once its node has sent the next, and every agent reports
/// anew when it finds the broker again.
pub(crate) fn node_reports(layout: Layout) -> stream::Config {
    stream::Config {
        max_messages_per_subject: 1,
        storage: stream::StorageType::Memory,
        max_age: Duration::from_secs(24 * 3600),
        ..base(
            NODE_REPORTS.to_owned(),
            vec!["gantry.node.*.report".to_owned()],
            layout,
            "the last report of each GPU host",
        )
    }
}

/// What each proxy's requests need of services. In memory: a proxy says it again and again.
pub(crate) fn seats(layout: Layout) -> stream::Config {
    stream::Config {
        max_messages_per_subject: 1,
        storage: stream::StorageType::Memory,
        max_age: Duration::from_secs(60),
        ..base(SEATS.to_owned(), vec!["gantry.seat.*".to_owned()], layout, "what model requests need, by proxy")
    }
}

/// How services that serve models stand. In memory: whoever leads says all of it anew.
pub(crate) fn offers(layout: Layout) -> stream::Config {
    stream::Config {
        max_messages_per_subject: 1,
        storage: stream::StorageType::Memory,
        ..base(OFFERS.to_owned(), vec!["gantry.offer.*".to_owned()], layout, "services that serve models, for proxies")
    }
}

/// What agents are to do, one consumer per node. A work queue: what is done is gone. Orders have deadlines, so one that
/// lies here for a day is of no use any more.
pub(crate) fn node_orders(layout: Layout) -> stream::Config {
    stream::Config {
        retention: stream::RetentionPolicy::WorkQueue,
        max_age: Duration::from_secs(24 * 3600),
        ..base(NODE_ORDERS.to_owned(), vec!["gantry.node.*.order".to_owned()], layout, "orders to agents on GPU hosts")
    }
}

/// What agents did and saw. No limit by age: the last operation of each container says which start it is.
pub(crate) fn node_events(layout: Layout) -> stream::Config {
    stream::Config {
        max_messages_per_subject: 512,
        ..base(
            NODE_EVENTS.to_owned(),
            vec!["gantry.node.*.event".to_owned(), "gantry.node.*.operation.*".to_owned()],
            layout,
            "container events of GPU hosts, and what became of orders",
        )
    }
}

/// The event log of the GPU control plane, and where its last snapshot is. One writer at a time, by the fence; what lies
/// far behind a snapshot is purged by the writer, so nothing is dropped by age or size.
pub(crate) fn control(layout: Layout) -> stream::Config {
    stream::Config {
        discard: stream::DiscardPolicy::New,
        allow_rollup: true,
        ..base(
            CONTROL.to_owned(),
            vec!["gantry.control.log".to_owned(), "gantry.control.snapshot".to_owned()],
            layout,
            "event log of jobs, services and GPUs, fenced; and the mark of its last snapshot",
        )
    }
}

/// What the control plane is asked, in the order of asking: submissions stay until their job is forgotten, because they
/// hold its payload; orders end by their own time to live. One message per subject makes a repeated id visible.
pub(crate) fn requests(layout: Layout) -> stream::Config {
    stream::Config {
        max_messages_per_subject: 1,
        allow_message_ttl: true,
        ..base(
            REQUESTS.to_owned(),
            vec!["gantry.request.job.*".to_owned(), "gantry.request.order.*".to_owned()],
            layout,
            "submitted jobs and orders, read in order by the leading scheduler",
        )
    }
}

/// Results and snapshots of jobs, until the job is forgotten.
pub(crate) fn jobs(layout: Layout) -> stream::Config {
    stream::Config {
        max_messages_per_subject: 1,
        ..base(JOBS.to_owned(), vec!["gantry.job.*.*".to_owned()], layout, "results and snapshots of jobs")
    }
}

/// Who leads. In memory: a broker that restarts has no leader until one asks, which is at once.
pub(crate) fn leases(layout: Layout) -> stream::Config {
    stream::Config {
        storage: stream::StorageType::Memory,
        max_age: crate::Bus::LEASE_TTL,
        max_messages_per_subject: 1,
        compression: None,
        ..base(LEASES.to_owned(), vec!["gantry.lease.*".to_owned()], layout, "the leading scheduler, while it renews")
    }
}

/// What happened that somebody may want to be told; one subject per notice.
pub(crate) fn notices(layout: Layout) -> stream::Config {
    stream::Config {
        max_age: Duration::from_secs(30 * 24 * 3600),
        ..base(
            NOTICES.to_owned(),
            vec!["gantry.notice.>".to_owned()],
            layout,
            "notices of runs, jobs, services and nodes",
        )
    }
}

/// What has to leave through a channel, and what has to leave later. A work queue: what has left or was given up is gone.
/// Nobody works off a channel that is configured no more, so what lies here for a fortnight goes too.
pub(crate) fn outgoing(layout: Layout) -> stream::Config {
    stream::Config {
        retention: stream::RetentionPolicy::WorkQueue,
        max_age: Duration::from_secs(14 * 24 * 3600),
        allow_message_schedules: true,
        allow_message_ttl: true,
        allow_rollup: true,
        duplicate_window: Duration::from_secs(120),
        ..base(
            OUTGOING.to_owned(),
            vec!["gantry.outgoing.>".to_owned(), "gantry.outgoing-later.>".to_owned()],
            layout,
            "pushes, webhooks and callbacks on their way out, and those tried again later",
        )
    }
}

/// What could not be delivered, kept for a person to look at.
pub(crate) fn dead_letters(layout: Layout) -> stream::Config {
    stream::Config {
        max_messages_per_subject: 1,
        max_messages: 100_000,
        max_age: Duration::from_secs(90 * 24 * 3600),
        ..base(
            DEAD_LETTERS.to_owned(),
            vec!["gantry.dead-letter.*".to_owned()],
            layout,
            "pushes, webhooks and callbacks given up",
        )
    }
}

/// How far notifiers have followed the ledgers, and which targets said that they want nothing more.
pub(crate) fn notifier(layout: Layout) -> stream::Config {
    stream::Config {
        max_messages_per_subject: 1,
        ..base(NOTIFIER.to_owned(), vec!["gantry.notifier.>".to_owned()], layout, "what notifiers remember")
    }
}

/// Installed bundles, deprecations, generated workflows: small documents that every process watches.
pub(crate) fn catalog(layout: Layout) -> kv::Config {
    kv::Config {
        bucket: CATALOG.to_owned(),
        description: "installed bundles and their marks".to_owned(),
        history: 1,
        num_replicas: layout.replicas,
        storage: stream::StorageType::File,
        ..Default::default()
    }
}

/// API keys of model traffic, by name, as hashes; every proxy watches them. What they have used up lies beside them.
pub(crate) fn keys(layout: Layout) -> kv::Config {
    kv::Config {
        bucket: KEYS.to_owned(),
        description: "API keys as hashes, and what they have used up".to_owned(),
        history: 1,
        num_replicas: layout.replicas,
        storage: stream::StorageType::File,
        ..Default::default()
    }
}

/// What proxies have taken of the limits of keys. In memory, because a minute's limit is full again within minutes, and
/// a synced write for each slice would cost more than it saves.
pub(crate) fn limits(layout: Layout) -> kv::Config {
    kv::Config {
        bucket: LIMITS.to_owned(),
        description: "what proxies have taken of the limits of API keys".to_owned(),
        history: 1,
        max_age: Duration::from_secs(600),
        num_replicas: layout.replicas,
        storage: stream::StorageType::Memory,
        ..Default::default()
    }
}

/// Bytes by hash: bundle files, large values, large states.
pub(crate) fn blobs(layout: Layout) -> object_store::Config {
    object_store::Config {
        bucket: BLOBS.to_owned(),
        description: Some("bundle files and large values, by hash".to_owned()),
        num_replicas: layout.replicas,
        storage: stream::StorageType::File,
        ..Default::default()
    }
}

/// Every stream of a layout, in the order in which they are made.
pub(crate) fn all(layout: Layout) -> Vec<stream::Config> {
    let mut configs = Vec::new();
    for shard in 0..layout.shards {
        configs.push(ledger(shard, layout));
        configs.push(inbox(shard, layout));
    }
    configs.push(commands(&Plane::main(), layout));
    configs.push(waits(layout));
    configs.push(outcomes(layout));
    configs.push(control(layout));
    configs.push(requests(layout));
    configs.push(jobs(layout));
    configs.push(leases(layout));
    configs.push(seats(layout));
    configs.push(offers(layout));
    configs.push(deferred::jobs(layout));
    configs.push(deferred::bodies(layout));
    configs.push(models::proxies(layout));
    configs.push(node_reports(layout));
    configs.push(node_orders(layout));
    configs.push(node_events(layout));
    configs.push(usage(layout));
    configs.push(notices(layout));
    configs.push(outgoing(layout));
    configs.push(dead_letters(layout));
    configs.push(notifier(layout));
    configs
}
