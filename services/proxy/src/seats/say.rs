//! This proxy's one voice on the bus: what its requests need of services, said when it changes and renewed while it holds.

use super::Served;
use bus::Bus;
use domain::control::Seats;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The use of a service is only believed to be known while the last word is this young.
const BELIEVED: Duration = Duration::from_secs(8);
/// After a word that the broker did not take.
const AGAIN: Duration = Duration::from_millis(200);

/// Who speaks, and when it was last heard.
#[derive(Debug)]
pub(crate) struct Voice {
    holder: String,
    changed: Notify,
    heard_at: Mutex<Option<Instant>>,
}

impl Voice {
    pub(crate) fn new(holder: &str) -> Arc<Self> {
        Arc::new(Self { holder: holder.to_owned(), changed: Notify::new(), heard_at: Mutex::default() })
    }

    pub(super) fn holder(&self) -> &str {
        &self.holder
    }

    /// What is needed may have changed.
    pub(super) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Whether the scheduler can still hold what was said for true.
    pub(super) fn is_heard(&self) -> bool {
        let heard = *self.heard_at.lock().unwrap_or_else(PoisonError::into_inner);
        heard.is_some_and(|at| at.elapsed() < BELIEVED)
    }

    pub(super) fn was_heard(&self, at: Instant) {
        *self.heard_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// Speaks for as long as it is polled.
    pub(crate) async fn speak(&self, bus: &Bus, served: impl Fn() -> Vec<Arc<Served>>) {
        let mut said = Seats { holder: self.holder.clone(), ..Seats::default() };
        let mut due: Option<Instant> = None;
        loop {
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
            let now = Instant::now();
            let (mut wishes, mut changes_at) = (BTreeMap::new(), None::<Instant>);
            for one in served() {
                let (wish, until) = one.wish(said.revision + 1, now);
                changes_at = [changes_at, until].into_iter().flatten().min();
                wishes.extend(wish.map(|wish| (one.name().clone(), wish)));
            }
            let renews = due.is_some_and(|due| due <= now) && !wishes.is_empty();
            if wishes == said.wishes && !renews {
                due = [due.filter(|_| !wishes.is_empty()), changes_at].into_iter().flatten().min();
                continue;
            }
            if wishes != said.wishes {
                said = Seats { revision: said.revision + 1, wishes, ..said };
            }
            due = match bus.say_seats(&said).await {
                Ok(()) => {
                    self.was_heard(now);
                    let renewal = (!said.wishes.is_empty()).then_some(now + Bus::SEAT_HEARTBEAT);
                    [renewal, changes_at].into_iter().flatten().min()
                }
                Err(error) => {
                    tracing::warn!(%error, "what requests need could not be said; trying again");
                    // Said again whatever it is by then, so that nothing that was withdrawn stays.
                    said.revision += 1;
                    self.wake();
                    tokio::time::sleep(AGAIN).await;
                    Some(Instant::now())
                }
            };
        }
    }
}
