//! A server that can sleep: it gives its GPU memory back without ending, and is woken by the next request.
//!
//! Whoever puts it to sleep first says so and only then looks whether somebody uses it; whoever uses it first counts
//! himself and only then looks whether it sleeps. So one of the two always sees the other.

use super::backend::Backend;
use crate::backends::Sleep;
use crate::error::ProxyError;
use crate::json::Pieces;
use crate::relay::client::{Call, Upstream, read_whole};
use http::{HeaderMap, Method};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Bytes of an answer that says little.
const ANSWER_BYTES: usize = 64 * 1024;
/// Whether it sleeps is said at once, or not at all.
const ASKED_WITHIN: Duration = Duration::from_secs(5);
/// A server that was told to sleep copies its weights away first.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether one server sleeps, and when it is put to sleep.
#[derive(Debug)]
pub(crate) struct Rest {
    calls: &'static Sleep,
    after: Option<Duration>,
    asleep: AtomicBool,
    used_at: StdMutex<Instant>,
    /// Held while it is put to sleep or woken.
    turn: Mutex<()>,
}

impl Rest {
    /// One that is put to sleep when nobody has used it for so long, or by others only.
    pub(crate) fn new(calls: &'static Sleep, after: Option<Duration>) -> Self {
        let used_at = StdMutex::new(Instant::now());
        Self { calls, after, asleep: AtomicBool::new(false), used_at, turn: Mutex::default() }
    }

    /// Whether it sleeps, as far as is known.
    pub(crate) fn is_asleep(&self) -> bool {
        self.asleep.load(Ordering::SeqCst)
    }

    /// A request has ended there.
    pub(super) fn was_used(&self) {
        *self.used_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Asks whether it sleeps: somebody else may have put it to sleep, or woken it.
    pub(super) async fn look(&self, backend: &Backend, client: &Upstream) {
        let Ok(_turn) = self.turn.try_lock() else { return };
        let asked = ask(backend, client, Method::GET, self.calls.asked);
        let Ok(Ok(body)) = tokio::time::timeout(ASKED_WITHIN, asked).await else { return };
        let told: Option<bool> = serde_json::from_slice(&body)
            .ok()
            .and_then(|body: serde_json::Value| body.get(self.calls.answer)?.as_bool());
        if let Some(asleep) = told {
            self.asleep.store(asleep, Ordering::SeqCst);
        }
    }

    /// Wakes it if it sleeps. The caller is counted as a request of the backend's.
    pub(crate) async fn wake(
        &self,
        backend: &Backend,
        client: &Upstream,
        patience: Duration,
    ) -> Result<(), ProxyError> {
        if !self.is_asleep() {
            return Ok(());
        }
        let name = || backend.name().to_owned();
        let waking = async {
            let _turn = self.turn.lock().await;
            if !self.is_asleep() {
                return Ok(());
            }
            tracing::info!(backend = backend.name(), "waking a server that sleeps");
            ask(backend, client, Method::POST, self.calls.wake).await?;
            self.asleep.store(false, Ordering::SeqCst);
            Ok(())
        };
        let woken = tokio::time::timeout(patience, waking).await;
        let woken = woken.unwrap_or_else(|_| Err(format!("not awake within {} s", patience.as_secs_f64())));
        woken.map_err(|why| ProxyError::Unreachable { backend: name(), reason: format!("it cannot be woken: {why}") })
    }

    /// Puts it to sleep if nobody has used it for long.
    pub(crate) async fn retire(&self, backend: &Backend, client: &Upstream) {
        let Some(after) = self.after else { return };
        let idle = || {
            let used_at = *self.used_at.lock().unwrap_or_else(PoisonError::into_inner);
            backend.outstanding() == 0 && used_at.elapsed() >= after
        };
        if self.is_asleep() || !idle() {
            return;
        }
        let Ok(_turn) = self.turn.try_lock() else { return };
        self.asleep.store(true, Ordering::SeqCst);
        if !idle() {
            self.asleep.store(false, Ordering::SeqCst);
            return;
        }
        let told = tokio::time::timeout(PATIENCE, ask(backend, client, Method::POST, self.calls.sleep)).await;
        match told.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs()))) {
            Ok(_) => tracing::info!(backend = backend.name(), "an idle server was put to sleep"),
            Err(why) => {
                // One that cannot sleep cannot be woken either; one that sleeps all the same says so at the next look.
                tracing::warn!(backend = backend.name(), %why, "an idle server could not be put to sleep; is its sleep mode on?");
                self.asleep.store(false, Ordering::SeqCst);
                self.was_used();
            }
        }
    }
}

async fn ask(backend: &Backend, client: &Upstream, method: Method, path: &str) -> Result<bytes::Bytes, String> {
    let uri = backend.beside_api(path).ok_or("its URL cannot be used")?;
    let headers = HeaderMap::new();
    let call = Call { method, uri, headers: &headers, body: Pieces::default(), asked: None };
    let answer = client.send(backend, &call).await.map_err(|error| error.to_string())?;
    let status = answer.status();
    let body = read_whole(backend, answer.into_body(), ANSWER_BYTES).await.map_err(|error| error.to_string())?;
    if status.is_success() { Ok(body) } else { Err(format!("{path} answered {status}")) }
}
