//! What people and other programs are told: notices, callbacks, and the deliveries that carry both out of the gateway.

mod callback_url;
mod control;
mod delivery;
mod target;

pub use callback_url::{check_callback, http_uri};
pub use delivery::{Callback, CallbackBody, Carried, DeadLetter, DisabledChannel, Outgoing};
pub use target::{AllowedTargets, AllowedTargetsError, is_public};

use crate::{RunId, Time};
use serde::{Deserialize, Serialize};

/// Actions that one notice can offer; push services show no more.
pub const MOST_ACTIONS: usize = 3;

/// Something that somebody may want to be told. Stored once by its id, however often it is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Unique to the event that it tells of, and the same each time that event is looked at.
    pub id: String,
    /// When it happened.
    pub at: Time,
    /// What it is about.
    pub kind: NoticeKind,
    /// One line.
    pub title: String,
    /// The rest, plain text.
    pub text: String,
    /// How urgent.
    pub priority: Priority,
    /// Short words; push services show those they know as pictures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What opens when it is tapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub click: Option<String>,
    /// Links that it offers, [`MOST_ACTIONS`] at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<NoticeAction>,
    /// What a card is kept of, such as one job: a later notice of the same subject replaces the earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Whether it is only a station on the way, worth showing where it can replace the card before it.
    #[serde(default)]
    pub passing: bool,
    /// The node that it happened on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The job that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The service that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The run that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}

/// A link that a notice offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeAction {
    /// What the button says.
    pub label: String,
    /// What it opens.
    pub url: String,
}

/// How urgent a notice is, from 1 (least) to 5 (most), as ntfy counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// 1.
    Min,
    /// 2.
    Low,
    /// 3.
    #[default]
    Default,
    /// 4.
    High,
    /// 5: it is told at once, never held back to be grouped.
    Max,
}

impl Priority {
    /// As a number.
    pub fn number(self) -> u8 {
        match self {
            Self::Min => 1,
            Self::Low => 2,
            Self::Default => 3,
            Self::High => 4,
            Self::Max => 5,
        }
    }

    /// Of a number.
    pub fn of_number(number: u8) -> Option<Self> {
        [Self::Min, Self::Low, Self::Default, Self::High, Self::Max].into_iter().find(|one| one.number() == number)
    }
}

/// What a notice is about; routes choose by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A run waits for a person.
    RunWaiting,
    /// A run failed.
    RunFailed,
    /// A run that nobody's run started has completed.
    RunCompleted,
    /// An attempt of a job began.
    JobStarted,
    /// A job has a result.
    JobCompleted,
    /// A job will have none.
    JobFailed,
    /// A job made way for a more urgent one.
    JobPreempted,
    /// A paused job goes on.
    JobResumed,
    /// A job waited longer than it wanted to.
    JobExpired,
    /// A person ended a job.
    JobCancelled,
    /// A service cannot be started or does not answer.
    ServiceFailed,
    /// A node is silent.
    NodeLost,
    /// A silent node is heard again.
    NodeSeen,
    /// Somebody tries whether notices arrive.
    Test,
}

impl NoticeKind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::RunWaiting,
        Self::RunFailed,
        Self::RunCompleted,
        Self::JobStarted,
        Self::JobCompleted,
        Self::JobFailed,
        Self::JobPreempted,
        Self::JobResumed,
        Self::JobExpired,
        Self::JobCancelled,
        Self::ServiceFailed,
        Self::NodeLost,
        Self::NodeSeen,
        Self::Test,
    ];

    /// The word of settings and payloads.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RunWaiting => "run_waiting",
            Self::RunFailed => "run_failed",
            Self::RunCompleted => "run_completed",
            Self::JobStarted => "job_started",
            Self::JobCompleted => "job_completed",
            Self::JobFailed => "job_failed",
            Self::JobPreempted => "job_preempted",
            Self::JobResumed => "job_resumed",
            Self::JobExpired => "job_expired",
            Self::JobCancelled => "job_cancelled",
            Self::ServiceFailed => "service_failed",
            Self::NodeLost => "node_lost",
            Self::NodeSeen => "node_seen",
            Self::Test => "test",
        }
    }

    /// Whether it tells how a node is; those of one node are kept together.
    pub fn is_of_node(self) -> bool {
        matches!(self, Self::NodeLost | Self::NodeSeen)
    }
}

impl Notice {
    /// A notice with nothing but what every notice has.
    pub fn new(id: impl Into<String>, kind: NoticeKind, at: Time, title: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            at,
            kind,
            title: title.into(),
            text: String::new(),
            priority: Priority::Default,
            tags: Vec::new(),
            click: None,
            actions: Vec::new(),
            subject: None,
            passing: false,
            node: None,
            job: None,
            service: None,
            run: None,
        }
    }

    /// Says it with these words.
    #[must_use]
    pub fn saying(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// Makes it as urgent, shown with a tag.
    #[must_use]
    pub fn shown(mut self, priority: Priority, tag: &str) -> Self {
        self.priority = priority;
        self.tags = vec![tag.to_owned()];
        self
    }

    /// Replaces the card of that subject.
    #[must_use]
    pub fn on_card(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }
}
