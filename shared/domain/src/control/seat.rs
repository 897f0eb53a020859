//! Model requests and services: what proxies say they need, and what the leading scheduler says is there.

use super::ServiceName;
use crate::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What may speak where a model is served.
pub const BACKEND_KINDS: [&str; 8] = ["vllm", "ollama", "llamacpp", "tgi", "sglang", "localai", "lmstudio", "openai"];

/// What the requests of one proxy need of services. Said anew when it changes, and again and again while it is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seats {
    /// The proxy, for as long as its process runs; one token of a subject.
    pub holder: String,
    /// Counts what this proxy has said that differed from what it had said before.
    pub revision: u64,
    /// By service; what is not there is not needed.
    pub wishes: BTreeMap<ServiceName, SeatWish>,
}

/// What a proxy's requests need of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatWish {
    /// The most urgent of them; lower is more urgent, as with jobs.
    pub priority: i32,
    /// Whether some wait for the service to serve.
    pub waiting: bool,
    /// The revision since which the service works at some, or is about to; none if it does not.
    pub in_use_since: Option<u64>,
}

/// How a service that serves models stands, for proxies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelOffer {
    /// The service.
    pub service: ServiceName,
    /// The type of job it takes.
    pub service_type: super::ServiceType,
    /// The names under which clients may ask for its model; the first is the model, the others are aliases.
    pub models: Vec<String>,
    /// What speaks there, such as `llamacpp` or `vllm`; none for plain OpenAI.
    pub backend_kind: Option<String>,
    /// The model's name there, if it differs from the first.
    pub upstream_model: Option<String>,
    /// Whether the scheduler starts and stops it, so that it may only be used with a seat.
    pub managed: bool,
    /// Where it stands.
    pub stage: OfferStage,
    /// Its base, such as `http://10.0.0.5:8001`, while it serves.
    pub address: Option<String>,
    /// Which start of its container this is.
    pub generation: u64,
    /// The proxies whose use of it is stored, each with the revision since which it is in use.
    pub seated: BTreeMap<String, u64>,
    /// Why requests wait, while some do.
    pub waiting: Option<OfferWait>,
    /// Starts that failed in a row.
    pub failed_starts: u32,
    /// Why the last one failed.
    pub last_error: Option<String>,
    /// When the next is tried.
    pub retry_at: Option<Time>,
    /// How long its last start took.
    pub last_start_ms: Option<u64>,
}

/// Where a service stands for requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfferStage {
    /// It does not run, and may be started.
    Stopped,
    /// It is being started.
    Starting,
    /// It serves.
    Ready,
    /// It takes no more, and may be started again after.
    Leaving,
    /// It is disabled, unhealthy, or its node is silent.
    Unavailable,
}

impl OfferStage {
    /// The word that clients see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Leaving => "leaving",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Why requests for a service wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfferWait {
    /// As a sentence with numbers.
    pub text: String,
    /// The same as data.
    pub reason: serde_json::Value,
    /// Whether waiting is of no use as things are.
    pub hopeless: bool,
    /// How many wishes for other services, and jobs, come before, at the most; none if that is not known.
    pub position: Option<u64>,
    /// How long it may take, once starts were measured.
    pub estimate_ms: Option<u64>,
}

/// What followers of offers are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfferUpdate {
    /// The epoch of the scheduler that says it; what an older one says late is passed over.
    pub epoch: u64,
    /// The service; an empty name where nothing is said but the epoch.
    pub service: ServiceName,
    /// How it stands; none when it serves no model any more.
    pub offer: Option<Box<ModelOffer>>,
}

impl OfferUpdate {
    /// Another scheduler leads: what those before it said holds only until it has said everything anew.
    pub fn lead(epoch: u64) -> Self {
        Self { epoch, service: ServiceName::new(""), offer: None }
    }
}
