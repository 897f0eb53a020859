//! A client of the gateway over real HTTP.

#![expect(clippy::expect_used, reason = "a test without its answer has nothing to go on with")]

use crate::answer::Answer;
use crate::stream::Stream;
use crate::until::{SOON, until};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use std::time::Duration;

/// Speaks to one gateway. Paths are below `/api/gateway` unless they begin with `//`, which stands for the root.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

impl Client {
    /// A client of the gateway at a base URL.
    ///
    /// # Panics
    /// When the machine has no way to make one.
    pub fn new(url: &str, token: Option<&str>) -> Self {
        // Fails only when it was installed before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(5)).build();
        Self { http: http.expect("an HTTP client can be made"), url: url.to_owned(), token: token.map(str::to_owned) }
    }

    /// The same gateway with another token, or none.
    #[must_use]
    pub fn with_token(&self, token: Option<&str>) -> Self {
        Self { token: token.map(str::to_owned), ..self.clone() }
    }

    /// The base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A request with this client's token, for whatever the other methods do not do.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let address = match path.strip_prefix("//") {
            Some(rest) => format!("{}/{rest}", self.url),
            None => format!("{}/api/gateway{path}", self.url),
        };
        let request = self.http.request(method, address);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When no whole answer came.
    pub async fn send(request: RequestBuilder) -> Result<Answer, reqwest::Error> {
        let response = request.timeout(SOON).send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        Ok(Answer { status, headers, text })
    }

    async fn must(request: RequestBuilder) -> Answer {
        Self::send(request).await.unwrap_or_else(|error| panic!("no answer: {error:?}"))
    }

    /// `GET`
    ///
    /// # Panics
    /// When no answer came.
    pub async fn get(&self, path: &str) -> Answer {
        Self::must(self.request(Method::GET, path)).await
    }

    /// `POST` with a JSON body.
    ///
    /// # Panics
    /// When no answer came.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Self::must(self.request(Method::POST, path).json(body)).await
    }

    /// `PUT` with a JSON body.
    ///
    /// # Panics
    /// When no answer came.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        Self::must(self.request(Method::PUT, path).json(body)).await
    }

    /// `PATCH` with a JSON body.
    ///
    /// # Panics
    /// When no answer came.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        Self::must(self.request(Method::PATCH, path).json(body)).await
    }

    /// `DELETE`
    ///
    /// # Panics
    /// When no answer came.
    pub async fn delete(&self, path: &str) -> Answer {
        Self::must(self.request(Method::DELETE, path)).await
    }

    /// Repeats a request until it is answered with something else than a passing failure, as a careful client does.
    pub async fn insist(&self, what: &str, request: impl Fn() -> RequestBuilder) -> Answer {
        until(what, 2 * SOON, async || match Self::send(request().timeout(Duration::from_secs(8))).await {
            Err(error) => Err(format!("{error:?}")),
            Ok(answer) if answer.status == 429 || answer.status >= 500 => Err(format!("{answer:?}")),
            Ok(answer) => Ok(answer),
        })
        .await
    }

    /// Installs a bundle.
    ///
    /// # Panics
    /// When no answer came.
    pub async fn upload(&self, bytes: Vec<u8>) -> Answer {
        let file = reqwest::multipart::Part::bytes(bytes).file_name("bundle.flow");
        let form = reqwest::multipart::Form::new().part("file", file);
        Self::must(self.request(Method::POST, "/bundles/upload").multipart(form)).await
    }

    /// Follows a run's ledger. `query` is what comes after the question mark.
    ///
    /// # Errors
    /// When there is no answer, or another one than a stream.
    pub async fn stream(&self, run: &str, query: &str, last_event_id: Option<u64>) -> Result<Stream, String> {
        let mut request = self.request(Method::GET, &format!("/runs/{run}/ledger/stream?{query}"));
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.map_err(|error| format!("{error:?}"))?;
        match response.status().as_u16() {
            200 => Ok(Stream::new(response)),
            status => Err(format!("{status}: {}", response.text().await.unwrap_or_default())),
        }
    }
}
