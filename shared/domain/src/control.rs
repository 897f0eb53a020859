//! What the GPU control plane is asked, what it answers, and what it tells of jobs and services.

mod ask;
mod job;
mod notice;
mod order;
mod seat;
mod service;

pub use ask::{Ask, JobFilter, Reply, ServiceWant};
pub use job::{JobDetail, JobEnd, JobRequest, JobState, JobView, Payload, WaitView};
pub use notice::{Notice, NoticeKind};
pub use order::{Answer, ControlOrder, Order, Refused, RefusedKind};
pub use seat::{BACKEND_KINDS, ModelOffer, OfferStage, OfferUpdate, OfferWait, SeatWish, Seats};
pub use service::{
    DeviceView, HolderView, Overview, ProgressMode, ServiceChange, ServiceMore, ServiceRecord, ServiceState,
    ServiceView,
};

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps a text that is already known to be such a name.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    };
}

name!(
    /// One unit of work: UUID v4 shaped.
    JobId
);
name!(
    /// A registered service.
    ServiceName
);
name!(
    /// What kind of work a service does; jobs are submitted by it.
    ServiceType
);
