//! The HTTP side: paths, keys, headers and error bodies.

pub(crate) mod caller;
pub(crate) mod envelope;
pub(crate) mod form;
pub(crate) mod front;
pub(crate) mod headers;
mod infer;
mod models;
pub(crate) mod openapi;
pub(crate) mod router;
mod status;
