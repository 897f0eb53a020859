//! The stored table, read and written under its revision.

use super::change::refused;
use crate::api::now;
use crate::input::Input;
use crate::{Api, ApiError};
use bus::BusError;
use domain::Time;
use domain::models::{Kind, ModelTable, ProxyReport, TableError, Wanted};
use http::StatusCode;
use std::collections::BTreeSet;

/// A change is tried again so often when others change the table.
const TRIES: usize = 20;

/// All that is stored, and what every proxy says of it.
pub(super) struct Picture {
    pub(super) table: ModelTable,
    pub(super) reports: Vec<ProxyReport>,
}

impl Picture {
    pub(super) async fn read(api: &Api) -> Result<Self, ApiError> {
        let models = api.parts.bus.models();
        let ((table, _), reports) = tokio::try_join!(models.read(), models.reports()).map_err(unavailable)?;
        Ok(Self { table, reports })
    }

    /// Backends that proxies' own settings name.
    pub(super) fn own_backends(&self) -> BTreeSet<String> {
        let backends = self.reports.iter().flat_map(|report| &report.backends);
        backends.filter(|backend| !backend.stored).map(|backend| backend.name.clone()).collect()
    }

    /// Models that proxies' own settings name.
    pub(super) fn own_models(&self) -> BTreeSet<String> {
        self.reports.iter().flat_map(|report| &report.own_models).map(|(name, _)| name.clone()).collect()
    }
}

/// Makes a change, and writes it unless somebody else has written meanwhile: then it is made again on what he wrote.
pub(super) async fn store(
    api: &Api,
    input: &Input,
    make: impl Fn(&mut Picture, Wanted, Time) -> Result<(), TableError>,
) -> Result<Picture, ApiError> {
    let (models, wanted) = (api.parts.bus.models(), wanted(input)?);
    let mut picture = Picture { table: ModelTable::default(), reports: models.reports().await.map_err(unavailable)? };
    for _ in 0..TRIES {
        let (table, last) = models.read().await.map_err(unavailable)?;
        picture.table = table;
        make(&mut picture, wanted, now()).map_err(|error| own(error, &picture, input))?;
        if models.replace(&picture.table, last).await.map_err(unavailable)? {
            return Ok(picture);
        }
    }
    Err(ApiError::conflict("Backends and models are being changed by others; try again"))
}

/// What the conditions of a request say: `If-None-Match: *` for an entry that is not there, `If-Match` with the revision
/// that was seen.
fn wanted(input: &Input) -> Result<Wanted, ApiError> {
    match (input.header("if-match"), input.header("if-none-match")) {
        (None, None) | (Some("*"), None) => Ok(Wanted::Any),
        (None, Some("*")) => Ok(Wanted::Nothing),
        (Some(tag), None) => match tag.trim_start_matches("W/").trim_matches('"').parse() {
            Ok(revision) => Ok(Wanted::Revision(revision)),
            Err(_) => Err(ApiError::bad_request(format!("If-Match is {tag}, and no revision such as \"7\""))),
        },
        (_, Some(_)) => Err(ApiError::bad_request("If-None-Match can only be *, and not beside If-Match")),
    }
}

/// The same for an entry of proxies' own settings, which cannot be changed from here.
fn own(error: TableError, picture: &Picture, input: &Input) -> ApiError {
    if let TableError::Missing { kind, name } = &error {
        let is_own = match kind {
            Kind::Backend => picture.own_backends().contains(name),
            Kind::Model => picture.own_models().contains(name),
        };
        if is_own {
            let why = "is named in the proxies' own settings; change it there";
            return ApiError::conflict(format!("'{name}' {why}"));
        }
    }
    shown(error, input)
}

/// An error of the table as a client sees it.
pub(super) fn shown(error: TableError, input: &Input) -> ApiError {
    match error {
        TableError::Invalid(fault) => refused(&fault, input),
        TableError::Missing { .. } => ApiError::not_found(capital(&error)),
        TableError::Exists { .. } | TableError::Changed { .. } => {
            ApiError::refused(StatusCode::PRECONDITION_FAILED, capital(&error))
        }
        TableError::InUse { .. } | TableError::Full(_) => ApiError::conflict(capital(&error)),
    }
}

fn capital(error: &TableError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn unavailable(error: BusError) -> ApiError {
    if error.is_transient() {
        tracing::warn!(%error, "backends and models cannot be reached");
        return ApiError::unavailable("The broker does not answer; try again");
    }
    tracing::error!(%error, "backends and models cannot be read or written");
    ApiError::refused(StatusCode::INTERNAL_SERVER_ERROR, format!("Backends and models cannot be used: {error}"))
}
