//! Headers that travel with messages, and how they are read.

use async_nats::HeaderMap;

/// Last inbox sequence that the step took in.
pub(crate) const CURSOR: &str = "Gantry-Cursor";
/// Who wrote the message: runner and attempt, to know one's own write again after an unknown outcome.
pub(crate) const WRITER: &str = "Gantry-Writer";
/// Effects the message owes.
pub(crate) const EFFECTS: &str = "Gantry-Effects";
const TRACEPARENT: &str = "traceparent";
const REQUEST_ID: &str = "Gantry-Request-Id";

/// What links a message to the request that caused it: the W3C trace parent and the HTTP request id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// W3C `traceparent`, when tracing is on.
    pub traceparent: Option<String>,
    /// The `X-Request-Id` of the request.
    pub request_id: Option<String>,
}

impl TraceContext {
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        for (name, value) in [(TRACEPARENT, &self.traceparent), (REQUEST_ID, &self.request_id)] {
            if let Some(value) = value.as_deref().filter(|text| is_header_value(text)) {
                headers.insert(name, value);
            }
        }
    }

    pub(crate) fn read(headers: Option<&HeaderMap>) -> Self {
        let text = |name: &str| headers.and_then(|map| map.get(name)).map(|value| value.as_str().to_owned());
        Self { traceparent: text(TRACEPARENT), request_id: text(REQUEST_ID) }
    }
}

/// A client's request id may hold anything; only what cannot break a header is carried on.
fn is_header_value(text: &str) -> bool {
    text.len() <= 256 && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

pub(crate) fn number(headers: Option<&HeaderMap>, name: &str) -> Option<u64> {
    headers?.get(name)?.as_str().parse().ok()
}
