//! Accounts of model requests: from the proxy to the bus, and their sums at `/v1/usage`.

use api::{Credentials, StoredKeys};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bus::{Bus, UsageLog};
use domain::{Plane, Time};
use futures::StreamExt;
use http::{HeaderMap, StatusCode};
use proxy::{KeyHolder, Outcome, Proxy, Usage, UsageSink};
use serde::Deserialize;
use serde_json::{Value, json};
use service::Tasks;
use std::convert::Infallible;
use std::sync::Arc;
use store::runs::Runs;
use store::usage::{Account, AccountOutcome, Grouping, Only, UsageSums};
use tokio::sync::mpsc;

/// Accounts that wait for the broker; beyond it they are lost, and counted.
const QUEUE: usize = 8_192;
/// Accounts under way to the broker at once.
const AT_ONCE: usize = 32;
const LOST: &str = "gantry_proxy_accounts_lost_total";

/// Puts accounts on the bus without holding a request up.
pub(super) struct BusSink {
    queue: mpsc::Sender<Account>,
}

impl BusSink {
    /// A sink and its task.
    pub(super) fn start(bus: &Bus, tasks: &Tasks) -> Arc<Self> {
        let (queue, accounts) = mpsc::channel(QUEUE);
        let (log, stop) = (bus.usage(&Plane::main()), tasks.stop_token());
        tasks.critical("accounts", async move {
            let sent = send(log, accounts);
            tokio::select! {
                () = sent => {}
                () = stop.cancelled() => {}
            }
            Ok::<(), Infallible>(())
        });
        Arc::new(Self { queue })
    }
}

impl UsageSink for BusSink {
    fn record(&self, usage: Usage) {
        if self.queue.try_send(account(usage)).is_err() {
            metrics::counter!(LOST).increment(1);
        }
    }
}

async fn send(log: UsageLog, accounts: mpsc::Receiver<Account>) {
    let accounts = futures::stream::unfold(accounts, async |mut accounts| Some((accounts.recv().await?, accounts)));
    let log = &log;
    accounts
        .for_each_concurrent(AT_ONCE, async |account| {
            let Ok(body) = serde_json::to_vec(&account) else { return };
            // Not the request's own id: a client may choose that, and choose the same one twice.
            let id = uuid::Uuid::now_v7().simple().to_string();
            if let Err(error) = log.record(&id, &body.into()).await {
                metrics::counter!(LOST).increment(1);
                tracing::warn!(%error, request_id = account.request_id, "an account was lost");
            }
        })
        .await;
}

fn account(usage: Usage) -> Account {
    let milliseconds = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let (outcome, error) = match usage.outcome {
        Outcome::Completed => (AccountOutcome::Completed, None),
        Outcome::Failed(code) => (AccountOutcome::Failed, Some(code)),
        Outcome::Aborted => (AccountOutcome::Aborted, None),
    };
    Account {
        at: Time::from(jiff::Timestamp::now()),
        request_id: usage.request_id.to_string(),
        key: usage.key.as_deref().map(str::to_owned),
        key_id: usage.key_id.as_deref().map(str::to_owned),
        proxy: Some(usage.proxy.to_string()),
        tenant: usage.tenant.to_string(),
        route: usage.route.to_owned(),
        model: usage.model.to_string(),
        backend: usage.backend.as_deref().map(str::to_owned),
        tokens_in: usage.tally.tokens_in,
        tokens_out: usage.tally.tokens_out,
        tokens_cached: usage.tally.tokens_cached,
        told: usage.tally.told,
        first_token_ms: usage.first_token.map(milliseconds),
        total_ms: milliseconds(usage.total),
        outcome,
        error,
    }
}

#[derive(Clone)]
struct Reading {
    sums: UsageSums,
    credentials: Credentials,
    keys: StoredKeys,
    /// The proxy of this process, which knows more keys.
    proxy: Option<Arc<Proxy>>,
}

/// Whose requests a caller may see.
enum Sight {
    All,
    /// Those of the key of that name.
    Own(String),
}

/// `GET /v1/usage`, and the task that keeps its sums current.
pub(super) async fn routes(
    bus: &Bus,
    runs: &Runs,
    api: &api::Service,
    proxy: Option<Arc<Proxy>>,
    tasks: &Tasks,
) -> anyhow::Result<Router> {
    let sums = UsageSums::open(runs).await?;
    let (log, follower, stop) = (bus.usage(&Plane::main()), sums.clone(), tasks.stop_token());
    tasks.supervised("sums of accounts", move || {
        let (log, follower, stop) = (log.clone(), follower.clone(), stop.clone());
        async move {
            tokio::select! {
                followed = follower.keep_following(&log) => followed,
                () = stop.cancelled() => Ok(()),
            }
        }
    });
    let reading = Reading { sums, credentials: api.credentials.clone(), keys: api.stored_keys.clone(), proxy };
    Ok(Router::new().route("/v1/usage", get(read)).with_state(reading))
}

/// Adds `/v1/usage` to an OpenAPI document that knows the gateway's bearer tokens.
pub(super) fn describe(document: &mut Value) {
    let day = |name: &str, about: &str| {
        let schema = json!({"type": "string", "format": "date"});
        json!({"name": name, "in": "query", "required": false, "description": about, "schema": schema})
    };
    let only = |name: &str, about: &str| json!({"name": name, "in": "query", "required": false, "description": about, "schema": {"type": "string"}});
    let grouping = json!({"enum": ["day", "model", "key", "tenant"], "default": "model"});
    let parameters = [
        day("from", "The first day; the first of this month if not said."),
        day("to", "The last day; today if not said."),
        json!({"name": "group_by", "in": "query", "required": false, "schema": grouping}),
        only("model", "Only requests for that model."),
        only("key", "Only requests of the key of that name."),
        only("tenant", "Only requests of that tenant."),
    ];
    let sums = json!({"type": "object", "properties": {
        "object": {"const": "list"}, "from": {"type": "string"}, "to": {"type": "string"},
        "group_by": {"type": "string"}, "data": {"type": "array", "items": {"type": "object"}},
    }});
    document["paths"]["/v1/usage"] = json!({"get": {
        "operationId": "model_usage",
        "summary": "What model requests took: requests, tokens and times, summed up.",
        "description": "A token of the gateway and a key with the scope admin see everything, any other key what it used itself.",
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": sums}}}},
        "security": [{"gatewayBearerAuth": []}],
    }});
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    from: Option<String>,
    to: Option<String>,
    group_by: Option<String>,
    model: Option<String>,
    key: Option<String>,
    tenant: Option<String>,
}

type Asking = Result<Query<Asked>, QueryRejection>;

async fn read(State(reading): State<Reading>, headers: HeaderMap, asked: Asking) -> Response {
    let mut response = sums(&reading, &headers, asked).await;
    proxy::stamp(&headers, &mut response);
    response
}

impl Reading {
    /// What a caller may see; none for a stranger.
    fn sight(&self, headers: &HeaderMap) -> Option<Sight> {
        if self.credentials.check_headers(headers).is_some() {
            return Some(Sight::All);
        }
        let stored = self.keys.check_headers(headers);
        let stored = stored.map(|key| KeyHolder { name: key.name, is_admin: key.is_admin });
        let KeyHolder { name, is_admin } = stored.or_else(|| self.proxy.as_ref()?.key_holder(headers))?;
        Some(if is_admin { Sight::All } else { Sight::Own(name) })
    }
}

async fn sums(reading: &Reading, headers: &HeaderMap, asked: Asking) -> Response {
    let Some(sight) = reading.sight(headers) else {
        let text = "a bearer token of the gateway is needed, or an API key that is known here";
        return refusal(StatusCode::UNAUTHORIZED, "invalid_api_key", text);
    };
    let Query(mut asked) = match asked {
        Ok(asked) => asked,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, "invalid_query", &error.body_text()),
    };
    if let Sight::Own(name) = sight {
        if asked.key.as_ref().is_some_and(|key| *key != name) {
            let text = format!("the key '{name}' sees its own requests only; the scope admin sees all");
            return refusal(StatusCode::FORBIDDEN, "not_allowed", &text);
        }
        asked.key = Some(name);
    }
    let word = asked.group_by.as_deref().unwrap_or("model");
    let Some(by) = Grouping::parse(word) else {
        let text = format!("group_by is '{word}', expected day, model, key or tenant");
        return refusal(StatusCode::BAD_REQUEST, "invalid_group_by", &text);
    };
    let today: String = Time::from(jiff::Timestamp::now()).to_string().chars().take(10).collect();
    let from = asked.from.unwrap_or_else(|| format!("{}-01", &today[..7]));
    let to = asked.to.unwrap_or(today);
    if let Some(day) = [&from, &to].into_iter().find(|day| day.parse::<jiff::civil::Date>().is_err()) {
        let text = format!("'{day}' is no day, expected one such as 2026-11-21");
        return refusal(StatusCode::BAD_REQUEST, "invalid_day", &text);
    }
    if from > to {
        let text = format!("from is {from} and to is {to}, expected a first day that is not after the last");
        return refusal(StatusCode::BAD_REQUEST, "invalid_day", &text);
    }
    let only = Only { model: asked.model, key: asked.key, tenant: asked.tenant };
    match reading.sums.list(&Plane::main(), (&from, &to), &only, by).await {
        Ok(sums) => {
            Json(json!({ "object": "list", "from": from, "to": to, "group_by": word, "data": sums })).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "sums of accounts could not be read");
            refusal(StatusCode::SERVICE_UNAVAILABLE, "database_unavailable", "the sums cannot be read now; try again")
        }
    }
}

/// The error body that clients of `/v1` expect.
fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    let kind = match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    };
    let body: Value = json!({ "error": { "message": message, "type": kind, "param": null, "code": code } });
    (status, Json(body)).into_response()
}
