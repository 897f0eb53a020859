//! Looks into a JSON body and changes single members of it, leaving every other byte as it was sent.

mod peek;
mod scan;
mod splice;
#[cfg(test)]
mod tests;

pub(crate) use peek::{Change, Peek};
pub(crate) use scan::{Malformed, find};
pub(crate) use splice::{Edit, Pieces};
