//! What the gateway answered.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in the answer {self:?}"))
    }

    /// The body of a 200.
    ///
    /// # Panics
    /// When it is another status.
    pub fn good(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }

    /// Status and `detail` of an error, the latter as text.
    pub fn refusal(&self) -> (u16, String) {
        let detail = &self.json()["detail"];
        (self.status, detail.as_str().map_or_else(|| detail.to_string(), str::to_owned))
    }

    /// A header's text, empty when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}
