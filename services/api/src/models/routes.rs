//! The routes of backends and models. Each change is stored before it is answered, on condition that nobody changed any of
//! it meanwhile.

use super::table::{Picture, shown, store};
use super::{change, view};
use crate::error::ok;
use crate::input::Input;
use crate::{Api, ApiError};
use axum::response::Response;
use domain::models::{BackendSpec, ModelSpec, Stored};
use http::{HeaderValue, header};
use serde_json::{Value, json};

/// `GET /backends`
pub(super) async fn list_backends(api: Api, _: Input) -> Result<Response, ApiError> {
    let picture = Picture::read(&api).await?;
    let stored = picture.table.backends.iter().map(|(name, stored)| view::backend(name, stored, &picture));
    let own = picture.own_backends();
    let own = own.iter().filter_map(|name| view::own_backend(name, &picture));
    Ok(list(stored.chain(own), &picture))
}

/// `GET /backends/{name}`
pub(super) async fn get_backend(api: Api, input: Input) -> Result<Response, ApiError> {
    let (name, picture) = (input.path("name"), Picture::read(&api).await?);
    match (picture.table.backend(name), view::own_backend(name, &picture)) {
        (Ok(stored), _) => Ok(one(&view::backend(name, stored, &picture))),
        (Err(_), Some(own)) => Ok(ok(&own)),
        (Err(error), None) => Err(shown(error, &input)),
    }
}

/// `PUT /backends/{name}`
pub(super) async fn put_backend(api: Api, input: Input) -> Result<Response, ApiError> {
    let name = input.path("name");
    let picture = store(&api, &input, |picture, wanted, now| {
        let mut spec = BackendSpec::default();
        change::backend(&mut spec, &input.body)?;
        picture.table.put_backend(name, spec, wanted, now)
    })
    .await?;
    changed_backend(name, &picture, &input)
}

/// `PATCH /backends/{name}`
pub(super) async fn patch_backend(api: Api, input: Input) -> Result<Response, ApiError> {
    let name = input.path("name");
    let picture = store(&api, &input, |picture, wanted, now| {
        let mut spec = match picture.table.backend(name)? {
            Stored::Read(entry) => entry.spec.clone(),
            Stored::Unread { .. } => BackendSpec::default(),
        };
        change::backend(&mut spec, &input.body)?;
        picture.table.put_backend(name, spec, wanted, now)
    })
    .await?;
    changed_backend(name, &picture, &input)
}

/// `DELETE /backends/{name}`
pub(super) async fn delete_backend(api: Api, input: Input) -> Result<Response, ApiError> {
    let name = input.path("name");
    store(&api, &input, |picture, wanted, _| picture.table.remove_backend(name, wanted)).await?;
    tracing::info!(backend = name, "a stored backend was removed");
    Ok(ok(&json!({"name": name, "removed": true})))
}

/// `GET /models`
pub(super) async fn list_models(api: Api, _: Input) -> Result<Response, ApiError> {
    let picture = Picture::read(&api).await?;
    let stored = picture.table.models.iter().map(|(name, stored)| view::model(name, stored, &picture));
    let own = picture.own_models();
    let own = own.iter().filter_map(|name| view::own_model(name, &picture));
    Ok(list(stored.chain(own), &picture))
}

/// `GET /models/{name}`
pub(super) async fn get_model(api: Api, input: Input) -> Result<Response, ApiError> {
    let (name, picture) = (input.path("name"), Picture::read(&api).await?);
    match (picture.table.model(name), view::own_model(name, &picture)) {
        (Ok(stored), _) => Ok(one(&view::model(name, stored, &picture))),
        (Err(_), Some(own)) => Ok(ok(&own)),
        (Err(error), None) => Err(shown(error, &input)),
    }
}

/// `PUT /models/{name}`
pub(super) async fn put_model(api: Api, input: Input) -> Result<Response, ApiError> {
    let name = input.path("name");
    let picture = store(&api, &input, |picture, wanted, now| {
        let mut spec = ModelSpec::default();
        change::model(&mut spec, &input.body)?;
        let own = picture.own_backends();
        picture.table.put_model(name, spec, &own, wanted, now)
    })
    .await?;
    changed_model(name, &picture, &input)
}

/// `PATCH /models/{name}`
pub(super) async fn patch_model(api: Api, input: Input) -> Result<Response, ApiError> {
    let name = input.path("name");
    let picture = store(&api, &input, |picture, wanted, now| {
        let mut spec = match picture.table.model(name)? {
            Stored::Read(entry) => entry.spec.clone(),
            Stored::Unread { .. } => ModelSpec::default(),
        };
        change::model(&mut spec, &input.body)?;
        let own = picture.own_backends();
        picture.table.put_model(name, spec, &own, wanted, now)
    })
    .await?;
    changed_model(name, &picture, &input)
}

/// `DELETE /models/{name}`
pub(super) async fn delete_model(api: Api, input: Input) -> Result<Response, ApiError> {
    let name = input.path("name");
    store(&api, &input, |picture, wanted, _| picture.table.remove_model(name, wanted)).await?;
    tracing::info!(model = name, "a stored model was removed");
    Ok(ok(&json!({"name": name, "removed": true})))
}

fn changed_backend(name: &str, picture: &Picture, input: &Input) -> Result<Response, ApiError> {
    let stored = picture.table.backend(name).map_err(|error| shown(error, input))?;
    tracing::info!(backend = name, revision = picture.table.revision, "a backend was stored");
    Ok(one(&view::backend(name, stored, picture)))
}

fn changed_model(name: &str, picture: &Picture, input: &Input) -> Result<Response, ApiError> {
    let stored = picture.table.model(name).map_err(|error| shown(error, input))?;
    tracing::info!(model = name, revision = picture.table.revision, "a model was stored");
    Ok(one(&view::model(name, stored, picture)))
}

fn list(items: impl Iterator<Item = Value>, picture: &Picture) -> Response {
    ok(&json!({"items": items.collect::<Vec<_>>(), "revision": picture.table.revision}))
}

/// An entry, with its revision as the tag that `If-Match` takes.
fn one(shown: &Value) -> Response {
    let mut response = ok(shown);
    let tag = shown["revision"].as_u64().and_then(|revision| HeaderValue::from_str(&format!("\"{revision}\"")).ok());
    if let Some(tag) = tag {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
