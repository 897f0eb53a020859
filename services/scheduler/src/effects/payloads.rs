//! Payloads of jobs that were just submitted, so that most need not be read again. Bounded; the stream has them all.

use crate::names;
use domain::control::Payload;
use std::collections::HashMap;

const MOST_BYTES: usize = 64 * 1024 * 1024;

/// The payloads at hand.
#[derive(Default)]
pub(super) struct Payloads {
    held: HashMap<names::Job, Payload>,
    bytes: usize,
}

impl Payloads {
    pub(super) fn keep(&mut self, job: names::Job, payload: Payload) {
        let bytes = payload.get().len();
        if self.bytes + bytes <= MOST_BYTES && !self.held.contains_key(&job) {
            self.bytes += bytes;
            self.held.insert(job, payload);
        }
    }

    pub(super) fn take(&mut self, job: &names::Job) -> Option<Payload> {
        let payload = self.held.remove(job)?;
        self.bytes -= payload.get().len();
        Some(payload)
    }

    pub(super) fn drop(&mut self, job: &names::Job) {
        self.take(job);
    }
}
