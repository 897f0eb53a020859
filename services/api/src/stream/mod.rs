//! A run's ledger as server-sent events: the backlog from a cursor, then what is appended, then `done`.
//!
//! The stream subscribes before it reads, so nothing falls between; it hands on each cursor once and in order, so
//! nothing is doubled; and whenever it missed something it reads the ledger again from its cursor. It is driven by
//! its client: a client that does not read costs one subscription with a bounded backlog.

mod event;
mod follow;

pub(crate) use event::{EVENTS, STEPS};
pub use event::{done, keep_alive, step};
pub use follow::{Next, Stream};
