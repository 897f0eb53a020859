//! One declaration per route: it is routed, checked and described from the same value.

use crate::input::{Field, Form, Input, read_bytes, read_document, read_form, read_object, read_query};
use crate::metrics as names;
use crate::principal::Principal;
use crate::security::{RequestId, document_limit};
use crate::{Api, ApiError};
use axum::extract::{RawPathParams, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use axum::{RequestPartsExt, Router};
use bytes::Bytes;
use domain::Object;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, StatusCode};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

/// What answers a checked request.
pub type Handler = fn(Api, Input) -> BoxFuture<'static, Result<Response, ApiError>>;

/// The body that an operation takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BodyKind {
    /// None; whatever is sent is ignored.
    None,
    /// A JSON object.
    Json {
        /// The schema's name.
        name: &'static str,
        /// Its fields.
        fields: &'static [Field],
        /// Whether unknown keys are refused.
        closed: bool,
    },
    /// A JSON object of the GPU control plane: declared as JSON, and at hand as it was written.
    Document {
        /// The schema's name.
        name: &'static str,
        /// Its fields; others are ignored.
        fields: &'static [Field],
    },
    /// A multipart form with a file.
    Form {
        /// The schema's name.
        name: &'static str,
        /// Its fields.
        fields: &'static [Field],
    },
}

/// A route.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Its method.
    pub method: Method,
    /// Its path, parameters in braces.
    pub path: &'static str,
    /// Its name, for clients that are generated.
    pub id: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Query parameters.
    pub query: &'static [Field],
    /// Optional request headers that it heeds.
    pub headers: &'static [&'static str],
    /// Its body.
    pub body: BodyKind,
    /// What it answers with, as a media type.
    pub produces: &'static str,
    /// The name of its answer's schema, where the document has one.
    pub answer: Option<&'static str>,
    /// The events of its stream, each with the name of its data's schema.
    pub events: &'static [(&'static str, &'static str)],
    /// What answers it.
    pub handler: Handler,
}

impl Operation {
    /// A route without parameters or body that answers with JSON.
    pub fn new(method: Method, path: &'static str, id: &'static str, summary: &'static str, handler: Handler) -> Self {
        let produces = "application/json";
        let body = BodyKind::None;
        Self { method, path, id, summary, query: &[], headers: &[], body, produces, answer: None, events: &[], handler }
    }

    /// With query parameters.
    pub fn query(mut self, fields: &'static [Field]) -> Self {
        self.query = fields;
        self
    }

    /// Heeding request headers.
    pub fn headers(mut self, names: &'static [&'static str]) -> Self {
        self.headers = names;
        self
    }

    /// With a body.
    pub fn body(mut self, body: BodyKind) -> Self {
        self.body = body;
        self
    }

    /// Answering with JSON of a schema of this name.
    pub fn answers(mut self, name: Option<&'static str>) -> Self {
        self.answer = name;
        self
    }

    /// Answering with a stream of these events.
    pub fn tells(mut self, events: &'static [(&'static str, &'static str)]) -> Self {
        self.events = events;
        self
    }

    /// Answering with another media type.
    pub fn produces(mut self, media_type: &'static str) -> Self {
        self.produces = media_type;
        self
    }
}

/// The router of these operations.
pub fn router(operations: Vec<Operation>) -> Router<Api> {
    operations.into_iter().fold(Router::new(), |router, operation| {
        let Ok(filter) = MethodFilter::try_from(operation.method.clone()) else {
            return router;
        };
        let operation = Arc::new(operation);
        let path = operation.path;
        let answer = move |State(api): State<Api>, request: Request| answer(operation.clone(), api, request);
        router.route(path, on(filter, answer))
    })
}

/// Checks a request and answers it. A panic of a handler is logged and answered, never passed on.
async fn answer(operation: Arc<Operation>, api: Api, request: Request) -> Response {
    let work = async {
        let input = read(&operation, &api, request).await?;
        (operation.handler)(api, input).await
    };
    let began = Instant::now();
    let response = match AssertUnwindSafe(work).catch_unwind().await {
        Ok(answered) => answered.unwrap_or_else(IntoResponse::into_response),
        Err(_) => {
            tracing::error!(operation = operation.id, "a route panicked; this is a defect of the gateway");
            ApiError::refused(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error").into_response()
        }
    };
    let status = response.status().as_u16().to_string();
    metrics::counter!(names::REQUESTS, "operation" => operation.id, "status" => status).increment(1);
    metrics::histogram!(names::SECONDS, "operation" => operation.id).record(began.elapsed().as_secs_f64());
    response
}

async fn read(operation: &Operation, api: &Api, request: Request) -> Result<Input, ApiError> {
    let (mut parts, body) = request.into_parts();
    let path = match parts.extract::<RawPathParams>().await {
        Ok(params) => params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        Err(_) => return Err(ApiError::not_found("Not Found")),
    };
    let query = read_query(parts.uri.query(), operation.query)?;
    let principal = parts.extensions.get::<Principal>().cloned().unwrap_or_else(Principal::unprotected);
    let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
    let headers = parts.headers.clone();
    let mut raw = Bytes::new();
    let (body, form) = match operation.body {
        BodyKind::None => (Object::new(), Form::default()),
        BodyKind::Document { fields, .. } => {
            raw = read_bytes(body, document_limit(&api.config.security)).await?;
            (read_document(&headers, &raw, fields)?, Form::default())
        }
        BodyKind::Json { fields, closed, .. } => {
            let bytes = read_bytes(body, api.config.security.max_body_bytes).await?;
            (read_object(&headers, &bytes, fields, closed)?, Form::default())
        }
        BodyKind::Form { fields, .. } => {
            let _turn = api.uploads.acquire().await;
            read_form(Request::from_parts(parts, body), fields, api.config.max_bundle_bytes, "Bundle").await?
        }
    };
    Ok(Input { path, query, body, raw, form, headers, principal, request_id })
}
