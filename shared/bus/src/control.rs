//! The GPU control plane on the bus: what it is asked, its event log, who leads it, and what it tells.
//!
//! - A submission or order is stored first, in the request stream; there is one reader, the leading scheduler, which takes
//!   requests in stream order and keeps its position in its own log. Nothing is acknowledged, nothing is taken twice.
//! - Then [`Control`] asks the leader what became of it. If no scheduler leads now, the request waits in the stream.
//! - Reads are questions to the leader, which answers from its state; payloads, results and snapshots are documents.
//! - The log is appended under a fence, one message per step, and holds [`domain::control::Notice`]s for followers.

mod answers;
mod client;
mod documents;
mod follow;
mod lease;
mod log;
mod notices;
mod orders;
mod requests;
mod seats;

pub use answers::{Asked, Questions};
pub use client::{Control, Submitted};
pub use documents::JobDocuments;
pub use lease::Lease;
pub use log::{ControlLog, LogMessage, SnapshotMark};
pub use notices::{NoticeDelivery, NoticeFeed, NoticeTail};
pub use requests::{Request, RequestBody, Requests};
pub use seats::{OfferTail, SeatTail};

use crate::BusError;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn write<T: Serialize>(what: &str, value: &T) -> Result<Bytes, BusError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| BusError::corrupt(what, error))
}

fn read<T: DeserializeOwned>(what: &str, body: &[u8]) -> Result<T, BusError> {
    serde_json::from_slice(body).map_err(|error| BusError::corrupt(what, error))
}
