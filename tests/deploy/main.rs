//! The files in compose/ and deploy/: read by the programs they are for, and llama.cpp's profile really run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod compose;
mod files;
mod llamacpp;
