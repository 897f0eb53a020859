//! Builds and runs the proxy on a port of its own.

use crate::config::Config;
use crate::proxy::{Proxy, SetupError};
use crate::surface::front::Front;
use bus::{Bus, BusError};
use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
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
}

/// Serves until told to stop; running requests then have that `grace` to end by themselves.
pub async fn run(
    config: Config,
    address: SocketAddr,
    stop: CancellationToken,
    grace: Duration,
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
        () = serve(listener, Arc::clone(&proxy), stop.clone()) => {}
        () = proxy.watch() => {}
        never = proxy.break_off_after(&stop, grace) => match never {},
    }
    proxy.leave().await;
    Ok(())
}

/// Serves all paths of a proxy on a port of its own until told to stop; requests under way are then finished.
pub async fn serve(listener: TcpListener, proxy: Arc<Proxy>, stop: CancellationToken) {
    let front = Front::alone(proxy);
    service::listen(listener, stop, move |peer| front.for_peer(peer)).await;
}

impl Proxy {
    /// Tells requests under way that the process ends, so long after it was told to stop; they are then answered with that.
    pub async fn break_off_after(&self, stop: &CancellationToken, grace: Duration) -> Infallible {
        stop.cancelled().await;
        tokio::time::sleep(grace).await;
        self.watchdog().break_off();
        pending().await
    }
}
