//! The laws of ARCHITECTURE.md, as tests over the repository's own files.
//!
//! Each law is a checker from text to complaints; its module proves on a bad sample that it can complain.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dependencies;
mod documents;
mod faults;
mod inheritance;
mod lengths;
mod purity;
mod repository;
mod subjects;
mod topology;

/// Fails with every complaint at once.
fn expect_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}
