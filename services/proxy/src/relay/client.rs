//! One request to a backend, over a connection that stands or a new one.

use super::body::Answer;
use super::connect::{ConnectError, Connector};
use super::head::{Asking, Head};
use super::parting::Asked;
use super::wire::{Broke, Idle, Wire};
use crate::error::ProxyError;
use crate::json::Pieces;
use crate::routing::Backend;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, Uri};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// Connections to every backend.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    connector: Connector,
    connect_timeout: Duration,
    homes: Arc<Mutex<Vec<Weak<Idle>>>>,
}

/// A request that can be sent more than once.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// Without scheme and host: those are the backend's, and so is its key.
    pub(crate) uri: Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: Pieces,
    /// Is told when the backend may know of it.
    pub(crate) asked: Option<&'a Asked>,
}

impl Upstream {
    /// Connections must stand within that time.
    pub(crate) fn new(connect_timeout: Duration) -> Self {
        Self { connector: Connector::new(), connect_timeout, homes: Arc::default() }
    }

    /// The same connections, of which new ones must stand within that time.
    pub(crate) fn within(&self, connect_timeout: Duration) -> Self {
        Self { connect_timeout, ..self.clone() }
    }

    /// Sends it and waits for the head of the answer. A connection that the backend had closed in the meantime is no
    /// failure: the call is repeated once, on a fresh one. Dropping the future closes the connection.
    pub(crate) async fn send(&self, backend: &Backend, call: &Call<'_>) -> Result<Response<Answer>, ProxyError> {
        if let Some(wire) = backend.idle.take() {
            match exchange(backend, wire, call).await {
                Err(Broke::Unanswered) => {}
                other => return other.map_err(|broke| disconnected(backend, &broke)),
            }
        }
        let wire = self.connect(backend).await?;
        exchange(backend, wire, call).await.map_err(|broke| disconnected(backend, &broke))
    }

    /// Closes connections that were not used for long.
    pub(crate) fn sweep(&self) {
        let mut homes = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
        homes.retain(|home| home.upgrade().inspect(|idle| idle.sweep()).is_some());
    }

    async fn connect(&self, backend: &Backend) -> Result<Wire, ProxyError> {
        // Boxed: it is large, and most requests find a connection that stands.
        let connecting = Box::pin(self.connector.connect(backend.origin().clone(), self.connect_timeout));
        let stream = connecting.await.map_err(|error| self.unreachable(backend, &error))?;
        self.remember(&backend.idle);
        Ok(Wire::new(stream))
    }

    fn remember(&self, home: &Arc<Idle>) {
        let home = Arc::downgrade(home);
        let mut homes = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
        if !homes.iter().any(|known| known.ptr_eq(&home)) {
            homes.push(home);
        }
    }

    fn unreachable(&self, backend: &Backend, error: &ConnectError) -> ProxyError {
        let backend = backend.name().to_owned();
        if chain(error.as_ref()).any(|cause| is_io(cause, std::io::ErrorKind::TimedOut)) {
            return ProxyError::ConnectTimeout { backend, after: self.connect_timeout };
        }
        ProxyError::Unreachable { backend, reason: root(error.as_ref()) }
    }
}

async fn exchange(backend: &Backend, mut wire: Wire, call: &Call<'_>) -> Result<Response<Answer>, Broke> {
    let stays = backend.kind.keeps_connections;
    let asking = Asking {
        method: &call.method,
        uri: &call.uri,
        host: backend.host(),
        authorization: backend.authorization(),
        headers: call.headers,
        length: call.body.length(),
        stays,
    };
    if let Some(asked) = call.asked {
        asked.sends();
    }
    let Head { status, headers, framing, stays: may_stay } = wire.ask(call.body.behind(asking.text())).await?;
    let mut answer = Response::new(Answer::new(wire, framing, stays && may_stay, &backend.idle));
    (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
    Ok(answer)
}

fn disconnected(backend: &Backend, broke: &Broke) -> ProxyError {
    ProxyError::Disconnected { backend: backend.name().to_owned(), reason: broke.to_string() }
}

type Cause = dyn std::error::Error + 'static;

fn chain(error: &Cause) -> impl Iterator<Item = &Cause> {
    std::iter::successors(Some(error), |&cause| cause.source())
}

fn is_io(cause: &Cause, kind: std::io::ErrorKind) -> bool {
    cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == kind)
}

fn root(error: &Cause) -> String {
    chain(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Reads an answer whole, up to a bound.
pub(crate) async fn read_whole(backend: &Backend, body: Answer, limit: usize) -> Result<Bytes, ProxyError> {
    use http_body_util::{BodyExt, LengthLimitError, Limited};
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ProxyError::BadReply {
            backend: backend.name().to_owned(),
            reason: format!("it is longer than {limit} bytes"),
        }),
        Err(error) => Err(ProxyError::Disconnected { backend: backend.name().to_owned(), reason: error.to_string() }),
    }
}
