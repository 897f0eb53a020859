//! The way in on a port: paths that go to a model server are known at once, the others are routed.

use super::router::{serve, whole_router};
use crate::proxy::Proxy;
use crate::routing::Route;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use tower::Service;

/// Everything that a connection needs to answer requests.
#[derive(Clone)]
pub struct Front {
    proxy: Arc<Proxy>,
    router: Router,
    peer: Option<SocketAddr>,
}

impl Front {
    /// On a port of the proxy's own.
    pub(crate) fn alone(proxy: Arc<Proxy>) -> Self {
        Self::over(Arc::clone(&proxy), whole_router(proxy))
    }

    /// On a port that others share: the router answers everything but what goes to a model server.
    pub fn over(proxy: Arc<Proxy>, router: Router) -> Self {
        Self { proxy, router, peer: None }
    }

    /// For a connection of that peer.
    pub fn for_peer(&self, peer: SocketAddr) -> Self {
        Self { peer: Some(peer), ..self.clone() }
    }
}

impl hyper::service::Service<Request<Incoming>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        let route = Some(request.method()).filter(|method| *method == Method::POST);
        if let Some(route) = route.and_then(|_| Route::of(request.uri().path())) {
            let (proxy, peer) = (Arc::clone(&self.proxy), self.peer);
            return Box::pin(async move { Ok(serve(proxy, route, request, peer).await) });
        }
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        Box::pin(self.router.clone().call(request))
    }
}
