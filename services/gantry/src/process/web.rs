//! The listener: token, port, router, and what a person is told once it serves.

use anyhow::Context;
use api::ApiConfig;
use api::auth::{check_startup, ensure_token};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get;
use bus::Bus;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use service::Tasks;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use telemetry::Metrics;
use tokio::net::TcpListener;
use tower::Service;

/// Makes sure that there is a token, and that the settings are not too weak for the address. Returns the file of the
/// token when it was not configured.
pub(super) fn token(config: &mut ApiConfig) -> anyhow::Result<Option<PathBuf>> {
    let mut file = None;
    if config.tokens.is_empty() && config.security.enabled {
        let found = ensure_token(&config.data_dir)?;
        config.tokens.push(found.token);
        file = Some(found.path);
    }
    check_startup(&config.security, &config.tokens, &config.host)?;
    Ok(file)
}

pub(super) async fn bind(host: &str, port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind((host, port)).await.with_context(|| {
        format!("cannot listen on {host}:{port}; choose another with --host and --port, or stop what listens there")
    })
}

/// Where this process reaches its own port.
pub(super) fn own_address(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listening.port())
}

/// Serves until the process is told to stop; requests under way are then finished.
pub(super) fn spawn(listener: TcpListener, router: Router, tasks: &Tasks) {
    let service = move |peer: SocketAddr| {
        let router = router.clone();
        service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().call(request)
        })
    };
    listen(listener, service, std::future::pending(), tasks);
}

/// The same with model traffic, which goes past the router and has that `grace` to end by itself.
pub(super) fn spawn_with_models(
    listener: TcpListener,
    router: Router,
    proxy: Arc<proxy::Proxy>,
    grace: Duration,
    tasks: &Tasks,
) {
    let (front, stop) = (proxy::Front::over(proxy.clone(), router), tasks.stop_token());
    let late = async move { proxy.break_off_after(&stop, grace).await };
    listen(listener, move |peer| front.for_peer(peer), late, tasks);
}

/// How long model requests may go on when a process is told to stop and has that time in all: a moment less, in which
/// those who are left hear of it.
pub(super) fn grace(shutdown: Duration) -> Duration {
    shutdown - (shutdown / 2).min(Duration::from_secs(1))
}

fn listen<S>(
    listener: TcpListener,
    service: impl Fn(SocketAddr) -> S + Send + Sync + 'static,
    late: impl Future<Output = Infallible> + Send + 'static,
    tasks: &Tasks,
) where
    S: hyper::service::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Send + 'static,
    S::Future: Send,
{
    let stop = tasks.stop_token();
    tasks.critical("http", async move {
        tokio::select! {
            () = service::listen(listener, stop, service) => Ok(()),
            never = late => Err(never),
        }
    });
}

/// The proxy's own upkeep.
pub(super) fn watch_proxy(proxy: &Arc<proxy::Proxy>, tasks: &Tasks) {
    let (proxy, stop) = (proxy.clone(), tasks.stop_token());
    tasks.critical("proxy upkeep", async move {
        tokio::select! {
            () = proxy.watch() => {}
            () = stop.cancelled() => {}
        }
        proxy.leave().await;
        Ok::<(), Infallible>(())
    });
}

/// `/livez`, `/readyz` and `/metrics` of a service that has no other port.
pub(super) fn probes(bus: Bus, metrics: Metrics) -> Router {
    let ready = move || {
        let connected = bus.is_connected();
        async move {
            if connected { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "the broker is away\n") }
        }
    };
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(move || std::future::ready(metrics.render())))
}

/// Tells a person where things are. Progress goes to standard error.
#[expect(clippy::print_stderr, reason = "the first words to whoever started it, also when logs are machine-readable")]
pub(super) fn announce(address: SocketAddr, token: &Option<PathBuf>) {
    let url = format!("http://{address}");
    tracing::info!(url, "ready");
    eprintln!("gantry is ready at {url}  (API: {url}/docs)");
    if let Some(path) = token {
        eprintln!("its token is in {}", path.display());
    }
    eprintln!("try:  gantry run start hello --watch");
}

#[cfg(test)]
mod tests {
    use super::own_address;

    #[test]
    fn a_process_reaches_its_own_port_wherever_it_listens() {
        for (listening, own) in [
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("10.0.0.5:1", "10.0.0.5:1"),
        ] {
            assert_eq!(own_address(listening.parse().unwrap()).to_string(), own);
        }
    }
}
