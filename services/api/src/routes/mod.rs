//! Every route, declared once. Adding one is one entry in the table and one function in the file of its resource.

pub(crate) mod bundles;
mod commands;
mod deprecation;
mod docs;
mod fields;
mod history;
mod identity;
mod ledger;
mod notices;
mod probes;
mod purge;
mod runs;
mod schedule;
mod start;
mod table;
mod workflows;

pub use table::operations;

use crate::Api;
use crate::operation::router as checked;
use axum::Router;

/// Every route of the surface, without the layers around them.
pub fn router() -> Router<Api> {
    checked(operations()).merge(docs::router()).merge(probes::router())
}
