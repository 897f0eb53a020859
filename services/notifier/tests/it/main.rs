//! The notifier against a real broker and a real ntfy server; a scripted receiver stands in for other people's programs,
//! because a real one cannot be told to fail.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod callbacks;
mod control;
mod ntfy;
mod receiver;
mod routing;
mod runs;
mod webhooks;
mod world;
