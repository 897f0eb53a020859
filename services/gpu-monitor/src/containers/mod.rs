//! The host's container engine: what runs there, what changes, and carrying out orders.

mod create;
mod engine;
mod events;
mod inspect;
mod operate;

pub(crate) use engine::{Engine, Seen};
pub(crate) use events::{Change, follow};
pub(crate) use operate::perform;

/// The label that carries the digest of the definition a container was made from.
pub(crate) const DEFINITION_LABEL: &str = "gantry.definition";
