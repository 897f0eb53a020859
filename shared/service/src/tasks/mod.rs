//! Every spawned task has a name and a kind; the kind says what its failure means and what happens at shutdown.

mod restart;
#[cfg(test)]
mod tests;

use crate::Signals;
use futures::FutureExt;
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

/// Any error that a task can end with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What becomes of the service when a task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Its end before shutdown, even without an error, ends the service.
    Critical,
    /// Its failure is logged and it starts again after a delay that grows up to a bound.
    Supervised,
    /// Its failure concerns only the request it serves and is logged.
    Request,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Critical => "critical",
            Self::Supervised => "supervised",
            Self::Request => "request",
        })
    }
}

/// A task that runs now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
}

/// A critical task ended, and so does the service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task '{task}' {reason}")]
pub struct Failure {
    /// The task.
    pub task: String,
    /// `failed: …`, `panicked: …` or that it ended early.
    pub reason: String,
}

/// What shutdown left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Tasks that had not ended by the deadline and were aborted.
    pub aborted: Vec<String>,
}

/// The tasks of a process. Clones share them.
#[derive(Clone)]
pub struct Tasks {
    shared: Arc<Shared>,
}

struct Shared {
    stop: CancellationToken,
    set: Mutex<JoinSet<()>>,
    running: Mutex<BTreeMap<u64, Running>>,
    next: std::sync::atomic::AtomicU64,
    failure: watch::Sender<Option<Failure>>,
}

impl Default for Tasks {
    fn default() -> Self {
        let shared = Shared {
            stop: CancellationToken::new(),
            set: Mutex::default(),
            running: Mutex::default(),
            next: std::sync::atomic::AtomicU64::new(0),
            failure: watch::Sender::new(None),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl Tasks {
    /// Without any task.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when the service begins to stop. Every long task watches it.
    pub fn stop_token(&self) -> CancellationToken {
        self.shared.stop.clone()
    }

    /// Spawns a task whose end, before shutdown, ends the service.
    pub fn critical<F, E>(&self, name: impl Into<String>, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        let (name, shared) = (name.into(), self.shared.clone());
        self.spawn(Kind::Critical, name.clone(), async move {
            let reason = match outcome(future).await {
                Ok(()) if shared.stop.is_cancelled() => return,
                Ok(()) => "ended although the service had not been asked to stop".to_owned(),
                Err(reason) => reason,
            };
            error!(task = name, "the task {reason}");
            shared.fail(Failure { task: name, reason });
        });
    }

    /// Spawns a task that is made anew when it fails. Without an error it may end whenever it likes.
    pub fn supervised<M, F, E>(&self, name: impl Into<String>, make: M)
    where
        M: FnMut() -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        let (name, stop) = (name.into(), self.stop_token());
        self.spawn(Kind::Supervised, name.clone(), restart::keep_alive(name, stop, make));
    }

    /// Spawns a task that serves one request or message.
    pub fn request<F, E>(&self, name: impl Into<String>, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        // Boxed, because it would be moved as a whole several times on its way into its task.
        let (name, future) = (name.into(), Box::pin(future));
        self.spawn(Kind::Request, name.clone(), async move {
            if let Err(reason) = outcome(future).await {
                warn!(task = name, "the task {reason}");
            }
        });
    }

    /// The tasks that run now.
    pub fn running(&self) -> Vec<Running> {
        lock(&self.shared.running).values().cloned().collect()
    }

    /// Waits until a critical task has ended.
    pub async fn failed(&self) -> Failure {
        let mut failure = self.shared.failure.subscribe();
        loop {
            if let Some(failure) = failure.borrow_and_update().clone() {
                return failure;
            }
            if failure.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Runs the service until a signal comes or a critical task ends, then drains it within the deadline.
    /// A second signal ends the wait at once. The error is the failure that ended the service, if one did.
    pub async fn run(&self, mut signals: Signals, deadline: Duration) -> Result<Drained, Failure> {
        let failure = tokio::select! {
            name = signals.next() => {
                info!(signal = name, "stopping; a second signal ends at once");
                None
            }
            failure = self.failed() => Some(failure),
        };
        let drained = tokio::select! {
            drained = self.stop(deadline) => drained,
            name = signals.next() => {
                warn!(signal = name, "ending at once");
                self.abort_all()
            }
        };
        failure.or_else(|| self.shared.failure.borrow().clone()).map_or(Ok(drained), Err)
    }

    /// Asks every task to stop, waits until the deadline, and aborts and names those that are left.
    pub async fn stop(&self, deadline: Duration) -> Drained {
        self.shared.stop.cancel();
        let until = Instant::now() + deadline;
        // Whoever stops takes the set out, so that tasks spawned meanwhile do not wait on its lock.
        let mut set = std::mem::take(&mut *lock(&self.shared.set));
        loop {
            match timeout_at(until, set.join_next()).await {
                Ok(Some(_)) => {}
                Ok(None) => {
                    let mut late = lock(&self.shared.set);
                    if late.is_empty() {
                        return Drained { aborted: Vec::new() };
                    }
                    std::mem::swap(&mut set, &mut late);
                }
                Err(_) => break,
            }
        }
        set.abort_all();
        self.abort_all()
    }

    fn abort_all(&self) -> Drained {
        lock(&self.shared.set).abort_all();
        let aborted: Vec<String> = self.running().into_iter().map(|task| task.name).collect();
        if !aborted.is_empty() {
            warn!(tasks = aborted.join(", "), "aborted what had not ended in time");
        }
        Drained { aborted }
    }

    fn spawn(&self, kind: Kind, name: String, work: impl Future<Output = ()> + Send + 'static) {
        let id = self.shared.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        debug!(task = name, %kind, "spawned");
        lock(&self.shared.running).insert(id, Running { name, kind });
        let entry = Registered { id, shared: self.shared.clone() };
        let mut set = lock(&self.shared.set);
        while set.try_join_next().is_some() {}
        set.spawn(async move {
            let _entry = entry;
            work.await;
        });
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("running", &self.running()).finish_non_exhaustive()
    }
}

impl Shared {
    /// Keeps the first failure; those after it are its consequences.
    fn fail(&self, failure: Failure) {
        self.failure.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(failure);
            is_first
        });
    }
}

/// Takes a task off the list however it ends.
struct Registered {
    id: u64,
    shared: Arc<Shared>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.shared.running).remove(&self.id);
    }
}

/// Runs a future to its end and says in words how it ended, a panic included.
async fn outcome<E: Into<BoxError>>(future: impl Future<Output = Result<(), E>>) -> Result<(), String> {
    match AssertUnwindSafe(future).catch_unwind().await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("failed: {}", chain(&*error.into()))),
        Err(panic) => Err(format!("panicked: {}", panic_text(&*panic))),
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
