//! Builds and runs the proxy on a port of its own.

use crate::config::Config;
use crate::proxy::{Proxy, SetupError};
use crate::surface::router::whole_router;
use axum::Router;
use axum::serve::ListenerExt;
use bus::{Bus, BusError};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Why the proxy does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its configuration cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Its keys cannot be read from the broker.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Its port cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The server ended.
    #[error("the server of the proxy ended: {0}")]
    Serve(std::io::Error),
}

/// Serves until told to stop; running requests are then given the time that the caller gives this future.
pub async fn run(
    config: Config,
    address: SocketAddr,
    stop: CancellationToken,
    bus: Option<Bus>,
    prepare: impl FnOnce(Proxy) -> Proxy,
) -> Result<(), RunError> {
    let mut proxy = prepare(Proxy::new(config)?);
    if let Some(bus) = bus {
        proxy = proxy.with_bus(&bus).await?;
    }
    let proxy = Arc::new(proxy);
    let listener = TcpListener::bind(address).await.map_err(|source| RunError::Listen { address, source })?;
    tracing::info!(%address, "the model proxy listens");
    proxy.say_who_may_call();
    tokio::select! {
        served = serve(listener, whole_router(Arc::clone(&proxy)), stop) => served.map_err(RunError::Serve),
        () = proxy.watch() => Ok(()),
    }
}

/// Serves a router so that small pieces leave at once and handlers know who calls.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> Result<(), std::io::Error> {
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
    });
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}
