//! Model servers ("backends") and models that model traffic is routed to: what may be said of them, within which bounds,
//! and the table of those that were stored over the API.

mod backend;
mod model;
mod report;
mod table;
#[cfg(test)]
mod tests;
mod timeouts;

pub use backend::{ABORTERS, BackendSpec, CAPABILITIES, DISCONNECT_RULES, SLEEPERS, UpstreamKey, base_url};
pub use model::{ModelSpec, ReplicaSpec, SAYS_NOTHING};
pub use report::{BackendReport, Kind, PassedOver, ProxyReport};
pub use table::{Entry, ModelTable, Stored, TableError, Wanted};
pub use timeouts::{ModelTimeouts, duration};

/// Something that cannot be said of a backend or a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct Fault {
    /// The field.
    pub field: &'static str,
    /// What is wrong, and what would be right.
    pub why: String,
}

impl Fault {
    /// A fault of that field.
    pub fn new(field: &'static str, why: impl Into<String>) -> Self {
        Self { field, why: why.into() }
    }
}
