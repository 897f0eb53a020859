//! The routes of keys. Each change is stored before it is answered, on condition that nobody changed the key meanwhile.

use super::{change, view};
use crate::api::now;
use crate::error::ok;
use crate::input::Input;
use crate::{Api, ApiError};
use axum::response::Response;
use bus::BusError;
use domain::keys::{KeyRecord, MOST_KEYS};
use serde_json::{Value, json};

/// A change is tried again so often when others change the same key.
const TRIES: usize = 5;

/// `POST /keys`
pub(super) async fn create(api: Api, input: Input) -> Result<Response, ApiError> {
    let (secret, record) = change::create(&input, now())?;
    let keys = api.parts.bus.keys();
    let taken = || ApiError::conflict(format!("Key '{}' exists; revoke it first, or choose another name", record.name));
    let last = match keys.read(&record.name).await.map_err(unavailable)? {
        Some((before, _)) if before.revoked_at.is_none() => return Err(taken()),
        Some((_, last)) => last,
        None => {
            if keys.list().await.map_err(unavailable)?.len() >= MOST_KEYS {
                return Err(ApiError::conflict(format!(
                    "There are {MOST_KEYS} keys, which is as many as may be; make this one under a revoked name"
                )));
            }
            0
        }
    };
    if !keys.replace(&record, last).await.map_err(unavailable)? {
        return Err(taken());
    }
    tracing::info!(key = record.name, id = record.id, "an API key was made");
    let mut shown = view::key(&record, &Default::default());
    shown["key"] = json!(secret);
    Ok(ok(&shown))
}

/// `GET /keys`
pub(super) async fn list(api: Api, input: Input) -> Result<Response, ApiError> {
    let keys = api.parts.bus.keys();
    let (records, (spending, _)) = tokio::try_join!(keys.list(), keys.spending()).map_err(unavailable)?;
    let wanted = |record: &&KeyRecord| input.flag("include_revoked") || record.revoked_at.is_none();
    let items: Vec<Value> = records.iter().filter(wanted).map(|record| view::key(record, &spending)).collect();
    Ok(ok(&json!({"items": items})))
}

/// `GET /keys/{name}`
pub(super) async fn get(api: Api, input: Input) -> Result<Response, ApiError> {
    let keys = api.parts.bus.keys();
    let (found, (spending, _)) =
        tokio::try_join!(keys.read(input.path("name")), keys.spending()).map_err(unavailable)?;
    let (record, _) = found.ok_or_else(|| missing(&input))?;
    Ok(ok(&view::key(&record, &spending)))
}

/// `PATCH /keys/{name}`
pub(super) async fn update(api: Api, input: Input) -> Result<Response, ApiError> {
    rewrite(&api, &input, |record| {
        if record.revoked_at.is_some() {
            return Err(ApiError::conflict(format!("Key '{}' is revoked; make a new one", record.name)));
        }
        change::change(record, &input)
    })
    .await
}

/// `DELETE /keys/{name}`. Revoking twice is no error.
pub(super) async fn revoke(api: Api, input: Input) -> Result<Response, ApiError> {
    rewrite(&api, &input, |record| {
        if record.revoked_at.is_none() {
            record.revoked_at = Some(now());
            tracing::info!(key = record.name, id = record.id, "an API key is revoked");
        }
        Ok(())
    })
    .await
}

async fn rewrite(
    api: &Api,
    input: &Input,
    edit: impl Fn(&mut KeyRecord) -> Result<(), ApiError>,
) -> Result<Response, ApiError> {
    let keys = api.parts.bus.keys();
    for _ in 0..TRIES {
        let (before, last) = keys.read(input.path("name")).await.map_err(unavailable)?.ok_or_else(|| missing(input))?;
        let mut record = before.clone();
        edit(&mut record)?;
        if record != before {
            record.updated_at = now();
            if !keys.replace(&record, last).await.map_err(unavailable)? {
                continue;
            }
        }
        let (spending, _) = keys.spending().await.map_err(unavailable)?;
        return Ok(ok(&view::key(&record, &spending)));
    }
    Err(ApiError::conflict(format!("Key '{}' is being changed by others; try again", input.path("name"))))
}

fn missing(input: &Input) -> ApiError {
    ApiError::not_found(format!("Key '{}' not found", input.path("name")))
}

fn unavailable(error: BusError) -> ApiError {
    tracing::warn!(%error, "the keys cannot be reached");
    ApiError::unavailable("The broker does not answer; try again")
}
