//! What becomes of a request at a backend whose client has left, where closing the connection is not enough.
//!
//! Whoever drops a request hands what is left of it on instead, with its connection and everything that it holds. Backends
//! that notice a closed connection have nothing to do with any of this.

use super::client::{Call, Upstream, read_whole};
use crate::backends::Abort;
use crate::json::Pieces;
use crate::metrics;
use crate::routing::Backend;
use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

/// Requests that part at once; one more has its connection closed.
const MOST: usize = 1_024;
/// A server that has not taken an abort by then is left to itself.
const ABORT_WITHIN: Duration = Duration::from_secs(2);
/// Bytes of the answer to an abort, which says nothing.
const ANSWER_BYTES: usize = 64 * 1024;

type Parting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Requests whose client has left and whose backend has not done with them.
pub(crate) struct Partings {
    sender: mpsc::Sender<Parting>,
    receiver: Mutex<mpsc::Receiver<Parting>>,
    running: AtomicBool,
    count: AtomicUsize,
}

/// A request that a backend may be working at.
#[derive(Debug)]
pub(crate) struct Asked {
    backend: Arc<Backend>,
    rule: Rule,
    upstream: Upstream,
    partings: Arc<Partings>,
    /// Bytes of an answer that nobody waits for.
    most_bytes: usize,
    sent: AtomicBool,
    left: AtomicBool,
    ended: AtomicBool,
    told: AtomicBool,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Rule {
    /// Read on.
    Drain,
    /// Say so, with the request's id.
    Abort(&'static Abort, String),
}

impl Default for Partings {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(MOST);
        Self { sender, receiver: Mutex::new(receiver), running: AtomicBool::new(false), count: AtomicUsize::new(0) }
    }
}

impl Partings {
    /// Drives them, for as long as it is polled; whoever leaves at another time has its connection closed.
    pub(crate) async fn run(&self) {
        struct Running<'a>(&'a Partings);
        impl Drop for Running<'_> {
            fn drop(&mut self) {
                self.0.running.store(false, Ordering::SeqCst);
                self.0.count.store(0, Ordering::SeqCst);
            }
        }
        let mut receiver = self.receiver.lock().await;
        let mut under_way = FuturesUnordered::new();
        self.running.store(true, Ordering::SeqCst);
        let _running = Running(self);
        loop {
            tokio::select! {
                Some(parting) = receiver.recv(), if under_way.len() < MOST => under_way.push(parting),
                Some(()) = under_way.next() => drop(self.count.fetch_sub(1, Ordering::SeqCst)),
            }
        }
    }

    /// Closes what was handed over in the moment in which [`Self::run`] ended.
    pub(crate) fn end(&self) {
        if let Ok(mut receiver) = self.receiver.try_lock() {
            while receiver.try_recv().is_ok() {}
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    fn hand(&self, parting: Parting) -> bool {
        if !self.running.load(Ordering::SeqCst) {
            return false;
        }
        let Ok(room) = self.sender.try_reserve() else { return false };
        self.count.fetch_add(1, Ordering::SeqCst);
        room.send(parting);
        true
    }
}

impl std::fmt::Debug for Partings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Partings")
    }
}

impl Asked {
    /// A request that is about to be sent there.
    pub(crate) fn new(
        backend: &Arc<Backend>,
        rule: Rule,
        upstream: &Upstream,
        partings: &Arc<Partings>,
        most_bytes: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            backend: Arc::clone(backend),
            rule,
            upstream: upstream.clone(),
            partings: Arc::clone(partings),
            most_bytes,
            sent: AtomicBool::new(false),
            left: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            told: AtomicBool::new(false),
        })
    }

    /// The member of the request that names it, and its value.
    pub(crate) fn id(&self) -> Option<(&'static str, &str)> {
        match &self.rule {
            Rule::Drain => None,
            Rule::Abort(how, id) => Some((how.id, id)),
        }
    }

    /// From here on the backend may know of it.
    pub(crate) fn sends(&self) {
        self.sent.store(true, Ordering::SeqCst);
    }

    /// The backend has done with it.
    pub(crate) fn ends(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    /// Whether its client has left.
    pub(crate) fn has_left(&self) -> bool {
        self.left.load(Ordering::SeqCst)
    }

    /// The client has left, or is given up. What holds the connection is read to its end by `drain`, which gets the number
    /// of bytes that this may be and says whether the end was reached; or it is kept until the backend was told to stop.
    /// Dropped at once if the backend has done with the request, or has not seen it.
    pub(crate) fn part<T, D, F>(self: &Arc<Self>, rest: T, drain: D)
    where
        T: Send + 'static,
        D: FnOnce(T, usize) -> F + Send + 'static,
        F: Future<Output = bool> + Send + 'static,
    {
        let over = self.ended.load(Ordering::SeqCst) || !self.sent.load(Ordering::SeqCst);
        if self.left.swap(true, Ordering::SeqCst) || over {
            return;
        }
        let this = Arc::clone(self);
        let handed = self.partings.hand(match &self.rule {
            Rule::Drain => Box::pin(async move {
                let read = drain(rest, this.most_bytes).await;
                metrics::parted(this.backend.name(), if read { "drained" } else { "cut" });
            }),
            Rule::Abort(..) => Box::pin(async move {
                this.abort().await;
                drop(rest);
            }),
        });
        if !handed {
            metrics::parted(self.backend.name(), "closed");
        }
    }

    /// Gives up a stream whose client is still there; `rest` holds its connection.
    pub(crate) fn give_up<T: Send + 'static>(self: &Arc<Self>, rest: T) {
        if matches!(self.rule, Rule::Abort(..)) {
            let this = Arc::clone(self);
            self.partings.hand(Box::pin(async move {
                this.abort().await;
                drop(rest);
            }));
        }
    }

    /// Tells the backend to stop, once, if it can be told. The connection must stand until this returns.
    pub(crate) async fn abort(&self) {
        let Rule::Abort(how, id) = &self.rule else { return };
        if self.told.swap(true, Ordering::SeqCst) {
            return;
        }
        let told = timeout(ABORT_WITHIN, self.tell(how, id)).await;
        let told = told.unwrap_or_else(|_| Err(format!("no answer within {} s", ABORT_WITHIN.as_secs())));
        metrics::parted(self.backend.name(), if told.is_ok() { "aborted" } else { "abort_failed" });
        if let Err(why) = told {
            tracing::warn!(backend = self.backend.name(), %why, "a request was not aborted; the server may work on at it");
        }
    }

    async fn tell(&self, how: &Abort, id: &str) -> Result<(), String> {
        let uri = self.backend.beside_api(how.path).ok_or("its URL cannot be used")?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = Pieces::whole(format!("{{\"{}\":\"{id}\"}}", how.id).into());
        let call = Call { method: Method::POST, uri, headers: &headers, body, asked: None };
        let answer = self.upstream.send(&self.backend, &call).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let _ = read_whole(&self.backend, answer.into_body(), ANSWER_BYTES).await;
        if status.is_success() { Ok(()) } else { Err(format!("{} answered {status}", how.path)) }
    }
}

/// Reads a stream to its end, or to the number of bytes that it may have. True for the end.
pub(crate) async fn drain<E>(stream: impl Stream<Item = Result<Bytes, E>>, most: usize) -> bool {
    let (mut stream, mut bytes) = (pin!(stream), 0);
    while let Some(piece) = stream.next().await {
        let Ok(piece) = piece else { return true };
        bytes += piece.len();
        if bytes > most {
            return false;
        }
    }
    true
}
