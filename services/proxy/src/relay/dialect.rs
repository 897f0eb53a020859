//! What a relay must know of the protocol inside a stream: what goes on, what ends it, and how its failure looks.

use crate::error::ProxyError;
use crate::sse::Frame;
use crate::usage::{Outcome, Tally};
use bytes::Bytes;
use std::collections::VecDeque;

/// What a frame, or the end of the stream, means.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// More is to come.
    Continue,
    /// The answer is complete; the stream may end as a whole one.
    Complete,
    /// It failed, and must not look complete.
    Broken(ProxyError),
}

/// One protocol's reading of a stream. It lives as long as the stream.
pub(crate) trait Dialect: Send + Sync {
    /// Takes one frame in, and puts what the client shall see into `out`.
    fn frame(&mut self, frame: Frame, out: &mut VecDeque<Bytes>) -> Verdict;

    /// The backend closed the stream in good order.
    fn end(&mut self, out: &mut VecDeque<Bytes>) -> Verdict;

    /// The connection broke. True if all that the client wants had come before.
    fn is_whole(&self) -> bool;

    /// How an answer that is complete ended.
    fn outcome(&self) -> Outcome {
        Outcome::Completed
    }

    /// The event that tells the client of a failure.
    fn failure(&self, error: &ProxyError) -> Bytes;

    /// Pieces of content that have come: about as many as tokens.
    fn pieces(&self) -> u64;

    /// What has been counted so far.
    fn tally(&self) -> Tally;
}
