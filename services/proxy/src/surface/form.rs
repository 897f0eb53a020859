//! Forms with files: the few fields that are short texts, and what a form is whatever its boundary.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use memchr::memmem::find;
use std::ops::Range;

/// Parts of a form; one with more is not looked into further.
const PARTS: usize = 1_000;
/// Bytes of a model's name.
const NAME_BYTES: usize = 256;

/// One part: what is said of it, and its value.
struct Part {
    head: Range<usize>,
    value: Range<usize>,
}

/// Whether a body with these headers is a form.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"multipart/"))
}

/// The field `model`.
pub(crate) fn model(body: &[u8]) -> Option<String> {
    let value = body.get(field(body, "model")?)?;
    String::from_utf8(value.to_vec()).ok().filter(|name| name.len() <= NAME_BYTES)
}

/// Where the value of that field stands; none if there is no such field, or it is a file.
pub(crate) fn field(body: &[u8], name: &str) -> Option<Range<usize>> {
    let wanted = format!(" name=\"{name}\"");
    let is_it = |part: &Part| {
        let head = &body[part.head.clone()];
        find(head, wanted.as_bytes()).is_some() && find(head, b"filename").is_none()
    };
    parts(body).into_iter().find(is_it).map(|part| part.value)
}

/// Everything but the boundary, which a client chooses anew each time it sends the same form.
pub(crate) fn without_boundary(body: &[u8]) -> Vec<u8> {
    let parts = parts(body);
    if parts.is_empty() {
        return body.to_vec();
    }
    let mut text = Vec::with_capacity(body.len());
    for part in parts {
        text.extend_from_slice(format!("{} {} ", part.head.len(), part.value.len()).as_bytes());
        text.extend_from_slice(&body[part.head]);
        text.extend_from_slice(&body[part.value]);
    }
    text
}

fn parts(body: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    let Some(first) = find(body, b"\r\n").filter(|_| body.starts_with(b"--")) else { return parts };
    let boundary = [b"\r\n", &body[..first]].concat();
    let mut at = first + 2;
    while parts.len() < PARTS {
        let Some(rest) = body.get(at..) else { break };
        let Some(length) = find(rest, b"\r\n\r\n") else { break };
        let begin = at + length + 4;
        let Some(value) = find(&body[begin..], &boundary) else { break };
        parts.push(Part { head: at..at + length, value: begin..begin + value });
        at = begin + value + boundary.len() + 2;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(boundary: &str) -> Vec<u8> {
        let text = "--B\r\ncontent-disposition: form-data; name=\"file\"; filename=\"model\"\r\n\r\n\
                    x name=\"model\"\r\n\r\nwrong\r\n\r\n--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n\
                    whisper\r\n--B\r\ncontent-disposition: form-data; name=\"empty\"\r\n\r\n\r\n--B--\r\n";
        text.replace("--B", &format!("--{boundary}")).into_bytes()
    }

    #[test]
    fn a_field_is_found_by_its_name_and_nothing_inside_a_file_is_taken_for_one() {
        let body = form("abc");
        assert_eq!(model(&body).as_deref(), Some("whisper"));
        assert_eq!(field(&body, "empty").map(|place| place.len()), Some(0));
        assert_eq!((field(&body, "file"), field(&body, "other")), (None, None));
        for cut in 0..body.len() {
            let _ = (model(&body[..cut]), without_boundary(&body[..cut]));
        }
        assert_eq!(model(b"no form"), None);
    }

    #[test]
    fn the_same_form_is_the_same_whatever_its_boundary_and_another_is_not() {
        assert_eq!(without_boundary(&form("a")), without_boundary(&form("another")));
        let other = String::from_utf8(form("a")).unwrap().replace("whisper", "whisper-2").into_bytes();
        assert_ne!(without_boundary(&form("a")), without_boundary(&other));
    }
}
