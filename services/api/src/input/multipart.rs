//! Uploaded forms: one file within its limit, and small text fields beside it.

use super::field::check_object;
use super::{Field, Issue, Kind, Place};
use crate::ApiError;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use bytes::{Bytes, BytesMut};
use domain::Object;
use http::StatusCode;
use serde_json::Value;

/// Bytes of one text field of a form.
const TEXT_LIMIT: usize = 64 * 1024;
/// Parts of one form.
const PARTS: usize = 32;

/// What an uploaded form held besides its text fields, which are checked like a body.
#[derive(Debug, Default)]
pub struct Form {
    /// The bytes of each uploaded file, by field name.
    pub files: Vec<(String, Bytes)>,
}

impl Form {
    /// The bytes of the file in that field.
    pub fn file(&self, name: &str) -> Option<&Bytes> {
        self.files.iter().find(|(field, _)| field == name).map(|(_, bytes)| bytes)
    }
}

/// Reads a multipart form: its text fields as an object, its files beside them. `what` names the file in a 413.
pub async fn read_form(
    mut request: Request,
    fields: &[Field],
    limit: usize,
    what: &str,
) -> Result<(Object, Form), ApiError> {
    let mut given = Object::new();
    let mut form = Form::default();
    // The library's own limit is far below a bundle's; each part is counted here, the whole by the security layer.
    DefaultBodyLimit::disable().apply(&mut request);
    if let Ok(mut parts) = Multipart::from_request(request, &()).await {
        for _ in 0..PARTS {
            let part = parts.next_field().await.map_err(|problem| broken(&problem))?;
            let Some(mut part) = part else { break };
            let name = part.name().unwrap_or_default().to_owned();
            let is_file = part.file_name().is_some();
            let (limit, what) = if is_file { (limit, what) } else { (TEXT_LIMIT, "Form field") };
            let bytes = read_part(&mut part, limit, what).await?;
            if is_file {
                form.files.push((name, bytes));
            } else {
                given.insert(name, Value::String(String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
    }
    checked(&given, form, fields)
}

async fn read_part(
    part: &mut axum::extract::multipart::Field<'_>,
    limit: usize,
    what: &str,
) -> Result<Bytes, ApiError> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = part.chunk().await.map_err(|problem| broken(&problem))? {
        let total = bytes.len() + chunk.len();
        if total > limit {
            return Err(ApiError::too_large(format!("{what} too large ({total} bytes > {limit} bytes)")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn checked(given: &Object, form: Form, fields: &[Field]) -> Result<(Object, Form), ApiError> {
    let (files, texts): (Vec<Field>, Vec<Field>) = fields.iter().partition(|field| field.kind == Kind::File);
    let missing = files.iter().filter(|field| field.required && form.file(field.name).is_none());
    let mut issues: Vec<Issue> =
        missing.map(|field| Issue::missing(&[Place::from("body"), Place::from(field.name)], Value::Null)).collect();
    let object = match check_object(given, &texts, false, &[Place::from("body")]) {
        Ok(object) => object,
        Err(more) => {
            issues.extend(more);
            Object::new()
        }
    };
    if issues.is_empty() { Ok((object, form)) } else { Err(ApiError::Invalid(issues)) }
}

fn broken(problem: &axum::extract::multipart::MultipartError) -> ApiError {
    match problem.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::too_large("Payload Too Large (more bytes than an upload may have)"),
        _ => ApiError::bad_request(format!("There was an error parsing the body: {problem}")),
    }
}
