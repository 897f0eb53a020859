//! Turns authoring documents into graphs that can be executed.

mod build;
mod document;
mod error;
mod graph;
mod kind;
mod library;
mod routes;
mod transitions;

pub use error::CompileError;
pub use graph::{Flow, Listener};
pub(crate) use library::namespace;
pub use library::{Library, Workflows, listener_id};

pub(crate) use document::text;
pub(crate) use graph::{Next, Node};
pub(crate) use kind::Kind;
