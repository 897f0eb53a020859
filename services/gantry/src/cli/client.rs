//! The gateway's HTTP interface as the client sees it: JSON in, JSON or a reason out.

use super::{Connection, Trouble};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde_json::Value;
use service::config::{ExposeSecret, SecretString};
use std::time::Duration;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
const UPLOAD_WITHIN: Duration = Duration::from_secs(600);

/// Why a request brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Nobody answered.
    #[error("{url} does not answer: {reason}")]
    Unreachable {
        /// The gateway.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// The gateway said no.
    #[error("{detail} (HTTP {status})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The gateway's words.
        detail: String,
    },
    /// Whatever answered is no gateway.
    #[error("{url} answered something that is not JSON; is it a gantry gateway?")]
    NotAGateway {
        /// The address.
        url: String,
    },
}

impl RequestError {
    /// The HTTP status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Unreachable { .. } | Self::NotAGateway { .. } => None,
        }
    }

    /// Whether the same request may succeed a little later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500..),
            Self::NotAGateway { .. } => false,
        }
    }

    /// As a person reads it.
    pub fn trouble(&self, what: impl Into<String>) -> Trouble {
        let trouble = Trouble::new(what, self);
        match self {
            Self::Unreachable { .. } => {
                trouble.next("start a gateway with `gantry up`, name another with --url, or run `gantry doctor`")
            }
            Self::NotAGateway { .. } => trouble.next("name the gateway with --url, or run `gantry doctor`"),
            Self::Refused { status: 401, .. } => trouble
                .next("pass --token, set GANTRY_TOKEN, or `gantry context add NAME --url URL --token TOKEN --use`"),
            Self::Refused { status: 404, detail } if detail.starts_with("Run ") => trouble.next("gantry run list"),
            Self::Refused { status: 404, .. } => trouble.next("gantry bundle list"),
            Self::Refused { status: 429, .. } => trouble.next("try again in a few seconds"),
            Self::Refused { .. } => trouble,
        }
    }
}

/// A gateway and who speaks to it.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<SecretString>,
    prefix: &'static [&'static str],
}

impl Client {
    /// A client of that gateway. Nothing is sent yet.
    pub fn new(connection: &Connection) -> Result<Self, Trouble> {
        let base = Url::parse(&connection.url).ok().filter(|url| !url.cannot_be_a_base());
        let base = base.ok_or_else(|| {
            let why = format!("'{}' (from {}) is not a URL", connection.url, connection.url_source);
            Trouble::usage("cannot find the gateway", why).next("give one such as http://127.0.0.1:8080")
        })?;
        // An error only says that another part of the process has chosen the same provider before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().connect_timeout(CONNECT_WITHIN).build();
        let http = http.map_err(|error| Trouble::new("cannot make HTTP requests", error))?;
        Ok(Self { http, base, token: connection.token.clone(), prefix: &["api", "gateway"] })
    }

    /// The same for routes at the gateway's root: those of the GPU control plane.
    pub fn at_root(self) -> Self {
        Self { prefix: &[], ..self }
    }

    /// The gateway's address.
    pub fn address(&self) -> String {
        self.base.to_string()
    }

    /// Reads what these segments name.
    pub async fn get(&self, segments: &[&str], query: &[(&str, String)]) -> Result<Value, RequestError> {
        self.json(self.request(Method::GET, segments).query(query).timeout(ANSWER_WITHIN)).await
    }

    /// Reads what these segments name as it is: its type and its bytes.
    pub async fn bytes(&self, segments: &[&str]) -> Result<(String, Vec<u8>), RequestError> {
        let response = self.send(self.request(Method::GET, segments).timeout(ANSWER_WITHIN)).await?;
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.to_owned();
        let bytes = response.bytes().await.map_err(|error| self.unreachable(innermost(&error)))?;
        Ok((kind, bytes.to_vec()))
    }

    /// Sends a body, with further headers.
    pub async fn post(
        &self,
        segments: &[&str],
        body: &Value,
        headers: &[(&'static str, &str)],
    ) -> Result<Value, RequestError> {
        let request = self.request(Method::POST, segments).json(body).timeout(ANSWER_WITHIN);
        self.json(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    /// Sends a body with a query.
    pub async fn post_query(
        &self,
        segments: &[&str],
        query: &[(&str, String)],
        body: &Value,
    ) -> Result<Value, RequestError> {
        let request = self.request(Method::POST, segments).query(query).json(body);
        self.json(request.timeout(ANSWER_WITHIN)).await
    }

    /// Asks for something that takes minutes.
    pub async fn patiently_post(&self, segments: &[&str], query: &[(&str, String)]) -> Result<Value, RequestError> {
        let request = self.request(Method::POST, segments).query(query);
        self.json(request.timeout(UPLOAD_WITHIN)).await
    }

    /// Replaces something.
    pub async fn put(&self, segments: &[&str], body: &Value) -> Result<Value, RequestError> {
        self.json(self.request(Method::PUT, segments).json(body).timeout(ANSWER_WITHIN)).await
    }

    /// Makes something that is not there yet.
    pub async fn put_new(&self, segments: &[&str], body: &Value) -> Result<Value, RequestError> {
        let request = self.request(Method::PUT, segments).header("if-none-match", "*").json(body);
        self.json(request.timeout(ANSWER_WITHIN)).await
    }

    /// Changes parts of something.
    pub async fn patch(&self, segments: &[&str], body: &Value) -> Result<Value, RequestError> {
        self.json(self.request(Method::PATCH, segments).json(body).timeout(ANSWER_WITHIN)).await
    }

    /// Removes something.
    pub async fn delete(&self, segments: &[&str], query: &[(&str, String)]) -> Result<Value, RequestError> {
        self.json(self.request(Method::DELETE, segments).query(query).timeout(ANSWER_WITHIN)).await
    }

    /// Sends a file and the other fields of a form.
    pub async fn upload(
        &self,
        segments: &[&str],
        file_name: String,
        bytes: Vec<u8>,
        fields: &[(&'static str, String)],
    ) -> Result<Value, RequestError> {
        let part = reqwest::multipart::Part::bytes(bytes).file_name(file_name);
        let form = reqwest::multipart::Form::new().part("file", part);
        let form = fields.iter().fold(form, |form, (name, value)| form.text(*name, value.clone()));
        self.json(self.request(Method::POST, segments).multipart(form).timeout(UPLOAD_WITHIN)).await
    }

    /// Opens an event stream, which has no end in time.
    pub async fn open(&self, segments: &[&str], query: &[(&str, String)]) -> Result<Response, RequestError> {
        let request = self.request(Method::GET, segments).query(query).header("accept", "text/event-stream");
        match tokio::time::timeout(ANSWER_WITHIN, self.send(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.unreachable(format!("no answer within {} s", ANSWER_WITHIN.as_secs()))),
        }
    }

    /// Reads a path outside `/api/gateway`, with the answer's `Date`.
    pub async fn probe(&self, path: &str) -> Result<(Value, Option<String>), RequestError> {
        let mut url = self.base.clone();
        url.set_path(path);
        let response = self.send(self.http.get(url).timeout(CONNECT_WITHIN)).await?;
        let date = response.headers().get("date").and_then(|date| date.to_str().ok()).map(str::to_owned);
        Ok((self.body(response).await?, date))
    }

    fn request(&self, method: Method, segments: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        // A URL that can be a base always has segments.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(self.prefix).extend(segments);
        }
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        }
    }

    async fn json(&self, request: RequestBuilder) -> Result<Value, RequestError> {
        let response = self.send(request).await?;
        self.body(response).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, RequestError> {
        let response = request.send().await.map_err(|error| self.unreachable(innermost(&error)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.unwrap_or_default();
        let detail = serde_json::from_str(&text).ok().and_then(|body: Value| detail(&body));
        let reason = || status.canonical_reason().unwrap_or("refused").to_owned();
        Err(RequestError::Refused { status: status.as_u16(), detail: detail.unwrap_or_else(reason) })
    }

    async fn body(&self, response: Response) -> Result<Value, RequestError> {
        let bytes = response.bytes().await.map_err(|error| self.unreachable(innermost(&error)))?;
        serde_json::from_slice(&bytes).map_err(|_| RequestError::NotAGateway { url: self.base.to_string() })
    }

    fn unreachable(&self, reason: String) -> RequestError {
        RequestError::Unreachable { url: self.base.to_string(), reason }
    }
}

/// The gateway's reason: a text, or the first of its findings on the request; model traffic has an envelope for it.
fn detail(body: &Value) -> Option<String> {
    if let Some(text) = body["error"]["message"].as_str() {
        return Some(super::plain(text));
    }
    match body.get("detail")? {
        Value::String(text) => Some(super::plain(text)),
        Value::Array(findings) => {
            let finding = findings.first()?;
            let place: Vec<&str> = finding.get("loc")?.as_array()?.iter().filter_map(Value::as_str).collect();
            Some(format!("{}: {}", place.join("."), super::plain(finding.get("msg")?.as_str()?)))
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => Some(other.to_string()),
    }
}

/// The cause at the bottom: "connection refused" rather than "error sending request".
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
