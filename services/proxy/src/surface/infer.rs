//! Every path that goes to a model server.

use super::access;
use super::caller::Caller;
use super::headers::{self, RequestId};
use crate::error::ProxyError;
use crate::form::Form;
use crate::json::Peek;
use crate::overflow::{Deferral, Wish};
use crate::proxy::{Proxy, Setup};
use crate::relay::account::Account;
use crate::relay::answer::answer;
use crate::relay::job::Job;
use crate::routing::{Model, Route, Ticket};
use crate::trace;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use domain::keys::KeyScope;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Serves one request, from its key to the head of its answer.
pub(crate) async fn infer(
    proxy: &Arc<Proxy>,
    route: Route,
    request: Request<Body>,
    peer: Option<SocketAddr>,
    request_id: &RequestId,
) -> Result<Response, ProxyError> {
    let setup = proxy.setup();
    let begun = tokio::time::Instant::now();
    let asks = |headers| {
        Ok((Caller::of(headers, peer, &setup, KeyScope::Inference)?, Wish::read(headers, &setup.config.overflow)?))
    };
    let (caller, wish) = asks(request.headers()).inspect_err(|error: &ProxyError| {
        let status = error.face().status;
        access::answered(request_id.text(), request.method(), route.path(), None, status, Some(error));
    })?;
    let ticket = proxy.permits().ticket();
    let span = trace::begin(request.headers(), request_id.text(), route.operation());
    let mut onward = headers::onward(request.headers(), request_id);
    trace::pass_on(&span, &mut onward);
    let mut account = Account::open(proxy.sink(), request_id.shared(), caller.who(proxy.shared_name()), route, span);
    check_coding(request.headers()).inspect_err(|error| account.fail(error))?;
    let after = setup.config.timeouts.total;
    let body =
        tokio::time::timeout_at(begun + after, read_body(request.into_body(), setup.config.bounds.request_bytes))
            .await
            .unwrap_or(Err(ProxyError::TotalTimeout { after }))
            .inspect_err(|error| account.fail(error))?;
    let asked = Asked { route, caller, headers: onward, body, begun, ticket };
    let Some(wish) = wish else { return serve(proxy, &setup, asked, account, None).await };
    let deferral = asked.deferral(proxy, &setup, wish, request_id);
    if let Some(known) = deferral.known().await.inspect_err(|error| account.fail(error))? {
        return Ok(known);
    }
    account.defer();
    let line_until = tokio::time::Instant::now() + deferral.wish.wait;
    match serve(proxy, &setup, asked, account, Some(line_until)).await {
        Err(error) => deferral.take_up(error).await,
        served => served,
    }
}

/// A request that was read.
struct Asked {
    route: Route,
    caller: Caller,
    /// Those that go on to a backend.
    headers: HeaderMap,
    body: Bytes,
    /// When it arrived; the model says how long it may take in all.
    begun: tokio::time::Instant,
    ticket: Ticket,
}

impl Asked {
    fn deferral(&self, proxy: &Proxy, setup: &Setup, wish: Wish, request_id: &RequestId) -> Deferral {
        Deferral {
            wish,
            overflow: proxy.overflow().cloned(),
            config: setup.config.overflow.clone(),
            route: self.route,
            caller: Deferral::caller(&self.caller),
            headers: self.headers.clone(),
            body: self.body.clone(),
            request_id: request_id.text().to_owned(),
        }
    }
}

/// Serves what was read; `line_until` bounds its wait for a place.
async fn serve(
    proxy: &Arc<Proxy>,
    setup: &Setup,
    asked: Asked,
    mut account: Account,
    line_until: Option<tokio::time::Instant>,
) -> Result<Response, ProxyError> {
    let Asked { route, caller, headers, body, begun, ticket } = asked;
    let taken = take_in(proxy, setup, &caller, route, &body, &headers).await;
    let (Read { peek, form }, model) = taken.inspect_err(|error| account.fail(error))?;
    if let Some(place) = peek.as_ref().and_then(|peek| peek.prompt.clone()).filter(|_| setup.config.log_prompts) {
        access::prompt(account.request_id(), &body[place]);
    }
    account.model(&model);
    let held = admit(setup, &caller, &ticket, &mut account).await.inspect_err(|error| account.fail(error))?;
    let deadline = begun + model.timeouts.total;
    let job = Job {
        route,
        fleet: Arc::clone(&setup.fleet),
        upstream: setup.upstream.within(model.timeouts.connect),
        timeouts: model.timeouts,
        bounds: setup.config.bounds,
        model,
        rank: caller.rank(),
        headers,
        body,
        peek,
        form,
        watchdog: proxy.watchdog(),
        partings: proxy.partings(),
        account,
        deadline,
        held,
        ticket,
        stage: Arc::default(),
        line_until,
        hold: None,
    };
    answer(job).await
}

/// What was read of a body: one of the two.
struct Read {
    peek: Option<Peek>,
    form: Option<Form>,
}

/// Reads the request and finds its model.
async fn take_in(
    proxy: &Arc<Proxy>,
    setup: &Setup,
    caller: &Caller,
    route: Route,
    body: &Bytes,
    headers: &HeaderMap,
) -> Result<(Read, Arc<Model>), ProxyError> {
    let (read, name) = match Form::read(headers, body) {
        None => {
            let peek = Peek::of(body).map_err(|error| ProxyError::BadBody(error.to_string()))?;
            if let Some((name, wanted)) = peek.wrong {
                return Err(ProxyError::WrongType { name, wanted });
            }
            let name = peek.model.clone();
            (Read { peek: Some(peek), form: None }, name)
        }
        Some(form) => {
            let form = form?;
            let name = form.model(body);
            (Read { peek: None, form: Some(form) }, name)
        }
    };
    let model = proxy.find_model(setup, name.as_deref()).await.map_err(|error| caller.told_of(error))?;
    let named = name.unwrap_or_else(|| model.name.clone());
    if !caller.may_use(&named) && !caller.may_use(&model.name) {
        let key = caller.key_name().unwrap_or_default().to_owned();
        return Err(ProxyError::Forbidden { key, what: format!("use the model '{named}'") });
    }
    model.check(route)?;
    Ok((read, model))
}

/// Holds the caller to its limits.
async fn admit(
    setup: &Setup,
    caller: &Caller,
    ticket: &crate::routing::Ticket,
    account: &mut Account,
) -> Result<Vec<crate::routing::Guard>, ProxyError> {
    let limited = |error: &ProxyError| {
        if matches!(error, ProxyError::RateLimited { .. } | ProxyError::BudgetSpent { .. }) {
            metrics::counter!(crate::metrics::LIMITED, "key" => caller.key_name().unwrap_or_default().to_owned())
                .increment(1);
        }
    };
    let mut held = Vec::new();
    if let Some(key) = &caller.key {
        held.push(key.admit(ticket).await.inspect_err(limited)?);
        let key = Arc::clone(key);
        account.charge_to(move |tokens| key.charge(tokens));
    }
    if let (Some(buckets), Some(bucket)) = (&setup.buckets, caller.bucket()) {
        buckets
            .take(bucket, Instant::now())
            .map_err(|retry| ProxyError::RateLimited { what: "too many requests in this minute".to_owned(), retry })
            .inspect_err(limited)?;
    }
    Ok(held)
}

async fn read_body(body: Body, limit: usize) -> Result<Bytes, ProxyError> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ProxyError::TooLarge { limit }),
        Err(error) => Err(ProxyError::BadBody(format!("it ended early: {error}"))),
    }
}

/// A body is looked into, so it must be readable as it is.
fn check_coding(headers: &HeaderMap) -> Result<(), ProxyError> {
    match headers.get(CONTENT_ENCODING).filter(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        Some(coding) => {
            Err(ProxyError::BadBody(format!("it is coded as {coding:?}; send it without content-encoding")))
        }
        None => Ok(()),
    }
}
