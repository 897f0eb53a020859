//! Who calls, and how much they may.

mod bucket;
mod counter;
mod follow;
mod lease;
mod spent;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use bucket::Buckets;
pub(crate) use follow::{count_spending, watch_keys};
pub(crate) use lease::Link;
pub(crate) use spent::Spending;
pub use store::new_key;
pub(crate) use store::{Common, Key, Keys};
