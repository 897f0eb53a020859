//! The registry: services are registered, listed, changed and removed.

use super::access::{unanswered, unexpected};
use super::refusal::refusal;
use super::{register, view};
use crate::api::now;
use crate::error::ok;
use crate::input::Input;
use crate::{Api, ApiError};
use axum::response::Response;
use domain::Object;
use domain::control::{Answer, Order, ServiceChange, ServiceName};
use serde_json::json;

/// `POST /services/register`
pub(super) async fn add(api: Api, input: Input) -> Result<Response, ApiError> {
    let record = register::new(&input, now())?;
    let name = record.name.clone();
    let answer = api.order(Order::RegisterService { service: Box::new(record) }, &input).await?;
    shown(answer, name.as_str())
}

/// `GET /services`
pub(super) async fn list(api: Api, input: Input) -> Result<Response, ApiError> {
    let found = api.control().services(input.flag("probe"), api.config.scheduler_patience).await;
    let found = found.map_err(|error| unanswered(&error))?;
    let kind = input.text("type").filter(|kind| !kind.is_empty());
    let enabled = input.value("enabled").map(|_| input.flag("enabled"));
    let fitting = found.iter().filter(|view| {
        kind.is_none_or(|kind| view.record.service_type.as_str() == kind)
            && enabled.is_none_or(|enabled| view.record.enabled == enabled)
    });
    let services: Object = fitting.map(|view| (view.record.name.to_string(), view::status(view))).collect();
    Ok(ok(&json!({"services": services})))
}

/// `GET /services/{name}`
pub(super) async fn get(api: Api, input: Input) -> Result<Response, ApiError> {
    Ok(ok(&view::status(&api.known_service(input.path("name"), true).await?)))
}

/// `GET /services/{name}/record`
pub(super) async fn record(api: Api, input: Input) -> Result<Response, ApiError> {
    Ok(ok(&view::record(&api.known_service(input.path("name"), false).await?.record)))
}

/// `PUT /services/{name}`
pub(super) async fn update(api: Api, input: Input) -> Result<Response, ApiError> {
    let known = api.known_service(input.path("name"), false).await?;
    let change = register::changes(&input, known.record.more.clone())?;
    change_to(&api, &input, change).await
}

/// `POST /services/{name}/enable`
pub(super) async fn enable(api: Api, input: Input) -> Result<Response, ApiError> {
    change_to(&api, &input, ServiceChange { enabled: Some(true), ..ServiceChange::default() }).await
}

/// `POST /services/{name}/disable`
pub(super) async fn disable(api: Api, input: Input) -> Result<Response, ApiError> {
    change_to(&api, &input, ServiceChange { enabled: Some(false), ..ServiceChange::default() }).await
}

/// `DELETE /services/{name}`
pub(super) async fn remove(api: Api, input: Input) -> Result<Response, ApiError> {
    let name = ServiceName::from(input.path("name"));
    match api.order(Order::DeleteService { name: name.clone() }, &input).await? {
        Answer::Deleted(name) => Ok(ok(&json!({"deleted": name}))),
        answer @ (Answer::Job(_)
        | Answer::Service(_)
        | Answer::Preempting { .. }
        | Answer::Released(_)
        | Answer::Refused(_)) => shown(answer, name.as_str()),
    }
}

async fn change_to(api: &Api, input: &Input, change: ServiceChange) -> Result<Response, ApiError> {
    let name = ServiceName::from(input.path("name"));
    let order = Order::UpdateService { name: name.clone(), change: Box::new(change) };
    shown(api.order(order, input).await?, name.as_str())
}

fn shown(answer: Answer, name: &str) -> Result<Response, ApiError> {
    match answer {
        Answer::Service(found) => Ok(ok(&view::record(&found.record))),
        Answer::Refused(refused) => Err(refusal(refused, name)),
        other @ (Answer::Job(_) | Answer::Deleted(_) | Answer::Preempting { .. } | Answer::Released(_)) => {
            Err(unexpected(&other))
        }
    }
}
