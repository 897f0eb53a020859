//! The HTTP listener: a bounded number of connections, each with a deadline for sending a request's headers.

use crate::BoxError;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Connections at once; more wait in the system's queue.
const CONNECTIONS: usize = 16_384;
/// From one request to the end of the next one's headers; a connection that takes longer is closed.
const HEADERS_WITHIN: Duration = Duration::from_secs(60);
/// Bytes of a request's head, and of an answer that waits for a client to take it.
const BUFFER: usize = 64 * 1024;
/// Pause after a connection could not be taken, for want of file descriptors say.
const AFTER_TROUBLE: Duration = Duration::from_millis(50);

/// Serves until told to stop; requests under way are then finished. Each connection gets a service that knows who calls.
pub async fn listen<S, B>(listener: TcpListener, stop: CancellationToken, service: impl Fn(SocketAddr) -> S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send,
    B: Body<Error: Into<BoxError>, Data: Send> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = places.clone().acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => attend(stream, peer, place, service(peer), &graceful, &mut connections),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(AFTER_TROUBLE).await;
            }
        }
    }
    drop(listener);
    graceful.shutdown().await;
}

fn attend<S, B>(
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
    service: S,
    graceful: &GracefulShutdown,
    connections: &mut JoinSet<()>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send,
    B: Body<Error: Into<BoxError>, Data: Send> + Send + 'static,
{
    // What leaves in pieces must not wait for the next one.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let watched = graceful.watch(connection);
    connections.spawn(async move {
        if let Err(error) = watched.await {
            tracing::debug!(%error, %peer, "a connection ended early");
        }
        drop(place);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::service::service_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[expect(clippy::disallowed_methods, reason = "a test's own server ends with the test")]
    async fn listening(stop: &CancellationToken) -> (SocketAddr, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let told = |peer: SocketAddr| {
            let answer = move || Ok::<_, Infallible>(Response::new(peer.ip().to_string()));
            service_fn(move |_| std::future::ready(answer()))
        };
        (address, tokio::spawn(listen(listener, stop.clone(), told)))
    }

    #[tokio::test]
    async fn handlers_know_who_calls_and_an_idle_connection_does_not_hold_up_the_end() {
        let stop = CancellationToken::new();
        let (address, server) = listening(&stop).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /peer HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 1_024];
        let read = stream.read(&mut answer).await.unwrap();
        assert!(String::from_utf8_lossy(&answer[..read]).ends_with("127.0.0.1"));
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(5), server).await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_finishes_its_headers_is_let_go() {
        let stop = CancellationToken::new();
        let (address, _server) = listening(&stop).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /peer HTTP/1.1\r\nhost:").await.unwrap();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(HEADERS_WITHIN * 2, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "the connection is still open");
    }
}
