//! Who calls, and how much they may.

mod bucket;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use bucket::Buckets;
pub(crate) use store::{Key, Keys, Scope};
pub use store::{hash_key, new_key};
