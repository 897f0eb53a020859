//! Which path does what.

use super::caller::Caller;
use super::headers::{self, RequestId};
use super::infer::infer;
use super::{access, envelope, models, openapi, status};
use crate::error::ProxyError;
use crate::proxy::Proxy;
use crate::routing::Route;
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use domain::keys::KeyScope;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CONTENT_TYPE, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a page may read of a response beside what every page may.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "x-request-id, request-id, retry-after, retry-after-ms, x-should-retry, anthropic-version, location, preference-applied",
);

/// Less than those wait who ask whether a process is ready.
const READY_WITHIN: Duration = Duration::from_millis(500);

/// Which version of the protocol an Anthropic client speaks; any is served, and told back.
pub(crate) const VERSION: &str = "anthropic-version";

/// The paths under `/v1`: what a gateway mounts beside its own.
pub fn router(proxy: Arc<Proxy>) -> Router {
    let mut router = Router::new()
        .route("/v1/models", get(list_models).options(preflight).fallback(wrong_method))
        .route("/v1/models/{*id}", get(one_model).options(preflight).fallback(wrong_method))
        .route("/v1", any(nothing))
        .route("/v1/", any(nothing))
        .route("/v1/{*path}", any(nothing));
    for route in Route::ALL {
        let handler = move |State(proxy): State<Arc<Proxy>>, request: Request| {
            let peer = peer(&request);
            serve(proxy, route, request, peer)
        };
        router = router.route(route.path(), post(handler).options(preflight).fallback(wrong_method));
    }
    router.merge(crate::overflow::routes::routes()).with_state(proxy)
}

/// The same with `/livez`, `/readyz`, `/health` and `/metrics`, for a proxy on a port of its own.
pub fn whole_router(proxy: Arc<Proxy>) -> Router {
    let own = Router::new()
        .route("/livez", get(async || (StatusCode::OK, "ok\n")))
        .route("/readyz", get(ready))
        .route("/health", get(health))
        .route("/metrics", get(render_metrics))
        .route("/openapi.json", get(async || json(openapi::document().to_string())))
        .fallback(nothing)
        .with_state(Arc::clone(&proxy));
    router(proxy).merge(own)
}

pub(crate) fn peer(request: &Request) -> Option<SocketAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0)
}

/// Answers a request for a path that goes to a model server.
pub(super) async fn serve(proxy: Arc<Proxy>, route: Route, request: Request, peer: Option<SocketAddr>) -> Response {
    let request_id = RequestId::of(request.headers());
    let origin = request.headers().get(ORIGIN).cloned();
    let version = request.headers().get(VERSION).filter(|_| route.is_anthropic()).cloned();
    let mut response = match infer(&proxy, route, request, peer, &request_id).await {
        Ok(response) => response,
        Err(error) => envelope::response(&error, route.is_anthropic(), request_id.text()),
    };
    headers::finish(&mut response, &request_id);
    if let Some(version) = version {
        response.headers_mut().insert(VERSION, version);
    }
    share(&proxy, origin, &mut response);
    response
}

async fn list_models(State(proxy): State<Arc<Proxy>>, request: Request) -> Response {
    let (peer, head) = (peer(&request), request.into_parts().0);
    with_models(&proxy, peer, &head, |list| Ok(list.to_string())).await
}

/// Clients write the slash in a name as it is, or as `%2F`.
async fn one_model(
    State(proxy): State<Arc<Proxy>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    let (peer, head) = (peer(&request), request.into_parts().0);
    with_models(&proxy, peer, &head, |list| {
        let found = list["data"].as_array().into_iter().flatten().find(|model| model["id"] == id.as_str());
        found.map(ToString::to_string).ok_or_else(|| ProxyError::UnknownModel {
            model: id.clone(),
            known: list["data"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|model| Some(model["id"].as_str()?.to_owned()))
                .collect(),
        })
    })
    .await
}

async fn with_models(
    proxy: &Arc<Proxy>,
    peer: Option<SocketAddr>,
    head: &Parts,
    pick: impl FnOnce(&serde_json::Value) -> Result<String, ProxyError>,
) -> Response {
    let sent = &head.headers;
    let request_id = RequestId::of(sent);
    let setup = proxy.setup();
    let caller = Caller::of(sent, peer, &setup, KeyScope::Models);
    let is_anthropic = sent.contains_key(VERSION);
    let listed = match &caller {
        Ok(caller) => {
            proxy.refresh(&setup).await;
            let list = models::list(&setup, |name| caller.may_use(name));
            pick(&if is_anthropic { models::for_anthropic(list) } else { list })
        }
        Err(error) => Err(error.clone()),
    };
    let key = caller.as_ref().ok().and_then(Caller::key_name);
    let error = listed.as_ref().err().cloned();
    let mut response = listed.map_or_else(|error| envelope::response(&error, is_anthropic, request_id.text()), json);
    access::answered(request_id.text(), &head.method, head.uri.path(), key, response.status(), error.as_ref());
    headers::finish(&mut response, &request_id);
    share(proxy, sent.get(ORIGIN).cloned(), &mut response);
    response
}

fn json(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

async fn ready(State(proxy): State<Arc<Proxy>>) -> Response {
    let setup = proxy.setup();
    // Who asks has little patience, and one backend that hangs says nothing about the others.
    if !status::answers(&setup) {
        let _ = tokio::time::timeout(READY_WITHIN, proxy.refresh(&setup)).await;
    }
    match status::is_ready(&setup, &proxy) {
        Ok(()) => (StatusCode::OK, "ok\n").into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn health(State(proxy): State<Arc<Proxy>>) -> Response {
    let setup = proxy.setup();
    proxy.refresh(&setup).await;
    json(status::health(&setup, &proxy).to_string())
}

async fn render_metrics(State(proxy): State<Arc<Proxy>>) -> Response {
    proxy.write_gauges();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], proxy.render_metrics()).into_response()
}

async fn nothing(State(proxy): State<Arc<Proxy>>, request: Request<Body>) -> Response {
    refuse(&proxy, &request, &ProxyError::UnknownRoute { path: request.uri().path().to_owned() })
}

/// For a path that is there, but not by that method.
pub(crate) async fn wrong_method(State(proxy): State<Arc<Proxy>>, request: Request<Body>) -> Response {
    let (path, method) = (request.uri().path().to_owned(), request.method().to_string());
    refuse(&proxy, &request, &ProxyError::WrongMethod { path, method })
}

fn refuse(proxy: &Proxy, request: &Request<Body>, error: &ProxyError) -> Response {
    let (sent, path) = (request.headers(), request.uri().path());
    let request_id = RequestId::of(sent);
    let is_anthropic = sent.contains_key(VERSION) || path.starts_with(Route::Messages.path());
    let mut response = envelope::response(error, is_anthropic, request_id.text());
    access::answered(request_id.text(), request.method(), path, None, response.status(), Some(error));
    headers::finish(&mut response, &request_id);
    share(proxy, sent.get(ORIGIN).cloned(), &mut response);
    response
}

pub(crate) async fn preflight(State(proxy): State<Arc<Proxy>>, sent: HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    share(&proxy, sent.get(ORIGIN).cloned(), &mut response);
    if response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        let methods = HeaderValue::from_static("GET, POST, DELETE, OPTIONS");
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        let asked = sent.get("access-control-request-headers").cloned();
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.unwrap_or(HeaderValue::from_static("*")));
        response.headers_mut().insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    response
}

/// Lets a browser's page read the response, if its origin was allowed.
pub(crate) fn share(proxy: &Proxy, origin: Option<HeaderValue>, response: &mut Response) {
    let Some(origin) = origin else { return };
    let setup = proxy.setup();
    let allowed = |one: &String| one == "*" || one.as_bytes() == origin.as_bytes();
    if setup.config.cors_origins.iter().any(allowed) {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        headers.insert(VARY, HeaderValue::from_static("origin"));
    }
}
