//! Requests of proxies beside the jobs: each visit wants one service, waits for it, keeps it for a while and leaves.

use super::{Broken, Happening, World};
use crate::{Change, Holder, ServiceName, State};

/// How often a visit that waits looks again.
const LOOK_MS: u64 = 500;
/// When it has waited long enough.
const PATIENCE_MS: u64 = 60_000;

impl World {
    /// Spreads the visits over the time in which jobs arrive.
    pub(super) fn invite(&mut self) {
        let span = self.tasks.last().map_or(0, |task| task.at_ms) + 1;
        for number in 0..usize::try_from(self.knobs.visits).unwrap_or(0) {
            let at = self.chance.below(span);
            self.later(at, Happening::VisitBegins(number));
        }
    }

    fn visited(&self, number: usize) -> Option<ServiceName> {
        self.truth.keys().nth(number % self.truth.len().max(1)).cloned()
    }

    pub(super) fn visit_begins(&mut self, number: usize) -> Result<(), Broken> {
        self.take_seat(number, true)?;
        self.visit_looks(number, 0)
    }

    /// A visit may use the service only once its seat there is known to be at work.
    pub(super) fn visit_looks(&mut self, number: usize, since_ms: u64) -> Result<(), Broken> {
        let serves = self.visited(number).and_then(|name| {
            let known = self.cluster().services.get(&name)?;
            matches!(known.container.state, State::Ready { .. }).then_some(known.container.serves())
        });
        if serves == Some(true) {
            self.take_seat(number, false)?;
            let works = 200 + self.chance.exponential_ms(self.knobs.runtime_ms);
            self.later(works, Happening::VisitEnds(number));
        } else if since_ms >= PATIENCE_MS {
            return self.visit_ends(number);
        } else {
            self.later(LOOK_MS, Happening::VisitLooks { number, since_ms: since_ms + LOOK_MS });
        }
        Ok(())
    }

    pub(super) fn visit_ends(&mut self, number: usize) -> Result<(), Broken> {
        let Some(service) = self.visited(number) else { return Ok(()) };
        self.take_in(Change::SeatLeft { service, holder: holder(number) })
    }

    fn take_seat(&mut self, number: usize, waiting: bool) -> Result<(), Broken> {
        let Some(service) = self.visited(number) else { return Ok(()) };
        let priority = if number.is_multiple_of(3) { 1 } else { 3 };
        self.take_in(Change::SeatTaken { service, holder: holder(number), priority, waiting, running: !waiting })
    }
}

fn holder(number: usize) -> Holder {
    Holder::from(format!("p{number}"))
}
