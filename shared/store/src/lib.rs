//! What is not history: installed bundles, large values, and the read models that lists are made of.
//!
//! Bundles lie in the broker's object store and are named in its catalogue, so every process has them. Read models are
//! SQL; deleting the database loses nothing.

pub mod bundles;
pub mod runs;
pub mod usage;

mod values;

pub use values::Values;
