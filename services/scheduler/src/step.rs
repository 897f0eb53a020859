//! What one step of the control log holds.

use crate::names;
use domain::control::{Answer, Notice, ServiceRecord};
use domain::{Object, Time};
use placement::Event;
use serde::{Deserialize, Serialize};

/// One message of the log: everything that a batch of inputs led to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Step {
    /// The leader's epoch: the position of its first step.
    pub(crate) epoch: u64,
    /// The last request that was taken in.
    pub(crate) cursor: u64,
    /// The last event of a node that was taken in.
    pub(crate) node_cursor: u64,
    /// What happened, in order.
    #[serde(default)]
    pub(crate) entries: Vec<Entry>,
    /// What is told of it.
    #[serde(default)]
    pub(crate) notices: Vec<Notice>,
    /// What became of orders, by their position.
    #[serde(default)]
    pub(crate) answers: Vec<(u64, Answer)>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    /// To the cluster.
    Event(Event),
    /// A job's particulars that no decision depends on.
    Notes { job: names::Job, notes: Box<Notes> },
    /// A job said how far it is.
    Progress { job: names::Job, progress: Object },
    /// A snapshot of a job is stored.
    Snapshot { job: names::Job },
    /// A service's registration.
    Service { record: Box<ServiceRecord> },
    /// A scheduler begins to lead.
    Lead { leader: String },
}

/// What is kept of a job beside its place in the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Notes {
    pub(crate) created_at: Time,
    pub(crate) ttl_seconds: Option<u64>,
    pub(crate) callback_url: Option<String>,
    /// Where its last attempt was sent.
    #[serde(default)]
    pub(crate) ran_on: Option<names::Service>,
    #[serde(default)]
    pub(crate) started_at: Option<Time>,
    #[serde(default)]
    pub(crate) progress: Option<Object>,
    #[serde(default)]
    pub(crate) has_snapshot: bool,
}
