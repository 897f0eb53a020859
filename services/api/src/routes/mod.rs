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
use crate::openapi::document;
use crate::operation::router as checked;
use axum::Router;
use serde_json::Value;

/// Every route of the surface, without the layers around them. What else the port serves is added to the document by
/// `describe`.
pub fn router(describe: impl FnOnce(&mut Value)) -> Router<Api> {
    let mut document = document(&operations());
    describe(&mut document);
    checked(operations()).merge(docs::router(document.to_string())).merge(probes::router())
}
