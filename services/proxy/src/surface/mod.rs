//! The HTTP side: paths, keys, headers and error bodies.

pub(crate) mod access;
pub(crate) mod caller;
pub(crate) mod envelope;
pub(crate) mod front;
pub(crate) mod headers;
mod infer;
mod models;
mod nearby;
pub(crate) mod openapi;
pub(crate) mod router;
mod status;
