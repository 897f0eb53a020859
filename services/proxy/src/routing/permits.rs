//! Everything a request holds is a guard tied to the request's ticket, so that a guard that outlives it is counted.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts of what is held in the whole process.
#[derive(Debug, Default)]
pub(crate) struct Permits {
    held: AtomicI64,
    leaked: AtomicI64,
    open: AtomicI64,
}

/// One request's stay. Dropping it ends the request; guards that are still held then are leaked until they go.
#[derive(Debug)]
pub(crate) struct Ticket {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    permits: Arc<Permits>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: i64,
    ended: bool,
}

/// Calls something back when it goes, once.
pub(crate) struct Guard {
    shared: Arc<Shared>,
    release: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Permits {
    /// A request begins.
    pub(crate) fn ticket(self: &Arc<Self>) -> Ticket {
        self.open.fetch_add(1, Ordering::Relaxed);
        Ticket { shared: Arc::new(Shared { permits: Arc::clone(self), state: Mutex::default() }) }
    }

    /// Guards held now.
    pub(crate) fn held(&self) -> i64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Guards held now by requests that have ended. Must be 0.
    pub(crate) fn leaked(&self) -> i64 {
        self.leaked.load(Ordering::Relaxed)
    }

    /// Requests that have not ended.
    pub(crate) fn open(&self) -> i64 {
        self.open.load(Ordering::Relaxed)
    }
}

impl Ticket {
    /// A guard that runs `release` when it goes.
    pub(crate) fn guard(&self, release: impl FnOnce() + Send + Sync + 'static) -> Guard {
        self.shared.permits.held.fetch_add(1, Ordering::Relaxed);
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).held += 1;
        Guard { shared: Arc::clone(&self.shared), release: Some(Box::new(release)) }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ended = true;
        self.shared.permits.leaked.fetch_add(state.held, Ordering::Relaxed);
        self.shared.permits.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            release();
        }
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.held -= 1;
        self.shared.permits.held.fetch_sub(1, Ordering::Relaxed);
        if state.ended {
            self.shared.permits.leaked.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guard")
    }
}
