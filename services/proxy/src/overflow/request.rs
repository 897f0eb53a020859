//! The stored form of a request: its headers in one line of JSON, then its body.

use crate::error::ProxyError;
use crate::form::Form;
use crate::json::{Malformed, find};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::ops::Range;

/// Writes both.
pub(super) fn write(headers: &HeaderMap, body: &Bytes) -> Bytes {
    let pairs: Vec<(&str, &str)> =
        headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    let mut text = serde_json::to_vec(&pairs).unwrap_or_else(|_| b"[]".to_vec());
    text.push(b'\n');
    text.extend_from_slice(body);
    text.into()
}

/// Reads both.
pub(super) fn read(text: &Bytes) -> Result<(HeaderMap, Bytes), ProxyError> {
    let bad = || ProxyError::BadBody("what was stored of it cannot be read".to_owned());
    let line = memchr::memchr(b'\n', text).ok_or_else(bad)?;
    let pairs: Vec<(String, String)> = serde_json::from_slice(&text[..line]).map_err(|_| bad())?;
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    Ok((headers, text.slice(line + 1..)))
}

/// The body with its answer asked for in one piece: nobody is there to take events.
pub(super) fn whole(body: &Bytes, form: Option<&Form>) -> Result<Bytes, Malformed> {
    let mut edits: Vec<(Range<usize>, &[u8])> = Vec::new();
    if let Some(form) = form {
        edits.extend(form.field("stream").map(|place| (place, b"false".as_slice())));
        return Ok(edited(body, edits));
    }
    let [stream, options, sound] = find(body, ["stream", "stream_options", "stream_format"])?;
    edits.extend(stream.map(|place| (place, b"false".as_slice())));
    // Servers refuse options of a stream that is none.
    edits.extend(options.map(|place| (place, b"null".as_slice())));
    let events = sound.filter(|place| &body[place.clone()] == b"\"sse\"");
    edits.extend(events.map(|place| (place, b"\"audio\"".as_slice())));
    edits.sort_by_key(|(place, _)| place.start);
    Ok(edited(body, edits))
}

fn edited(body: &Bytes, edits: Vec<(Range<usize>, &[u8])>) -> Bytes {
    let (mut text, mut kept) = (Vec::with_capacity(body.len() + 8), 0);
    for (place, with) in edits {
        text.extend_from_slice(&body[kept..place.start]);
        text.extend_from_slice(with);
        kept = place.end;
    }
    text.extend_from_slice(&body[kept..]);
    text.into()
}
