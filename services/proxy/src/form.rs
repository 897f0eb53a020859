//! The `model` field of a form with files: found as a server that reads the form finds it, and changed without touching
//! another byte.
//!
//! A key may be held to some models, so nothing here may be read otherwise by a backend: what two readers could disagree
//! on is refused.

use crate::error::ProxyError;
use crate::json::{Edit, Pieces};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use memchr::memmem::find;
use std::ops::Range;

/// The field that decides the route.
const MODEL: &str = "model";
/// Bytes of a model's name.
const NAME: usize = 256;
/// Parts that a form may have.
const PARTS: usize = 1_000;

/// Why a body is not the form that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(&'static str);

/// Where everything stands in a form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Form {
    boundary: String,
    /// Where the first part begins.
    begin: usize,
    parts: Vec<Part>,
}

/// One part: what is said of it, and its value.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    /// Its name, unless it is a file.
    field: Option<String>,
    head: Range<usize>,
    value: Range<usize>,
}

fn form_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    value.get(..10)?.eq_ignore_ascii_case("multipart/").then_some(value)
}

impl Form {
    /// The form in a body with these headers; none if they are those of something else.
    pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Option<Result<Self, ProxyError>> {
        let form = Self::of(form_type(headers)?, body);
        Some(form.map_err(|error| ProxyError::BadForm(error.to_string())))
    }

    /// Reads a body with that content type.
    fn of(content_type: &str, body: &[u8]) -> Result<Self, Malformed> {
        let (_, boundary) = parameters(content_type)
            .find(|(name, _)| name.eq_ignore_ascii_case("boundary"))
            .filter(|(_, boundary)| !boundary.is_empty())
            .ok_or(Malformed("its content type names no boundary"))?;
        let line = format!("--{boundary}");
        let begin = if body.starts_with(line.as_bytes()) {
            0
        } else {
            find(body, format!("\r\n{line}").as_bytes()).ok_or(Malformed("it has no part"))? + 2
        };
        let mut form = Self { boundary, begin, parts: Vec::new() };
        let mut at = begin + line.len();
        while let Some(part) = Part::at(body, at, &line)? {
            at = part.value.end + 2 + line.len();
            let is_model = part.field.as_deref() == Some(MODEL);
            if form.parts.len() == PARTS || (is_model && form.field(MODEL).is_some()) {
                return Err(Malformed("it has too many parts, or its field 'model' comes twice"));
            }
            form.parts.push(part);
        }
        Ok(form)
    }

    /// Where the value of that field stands.
    pub(crate) fn field(&self, name: &str) -> Option<Range<usize>> {
        self.parts.iter().find(|part| part.field.as_deref() == Some(name)).map(|part| part.value.clone())
    }

    /// The model that it names.
    pub(crate) fn model(&self, body: &[u8]) -> Option<String> {
        let value = body.get(self.field(MODEL)?)?;
        String::from_utf8(value.to_vec()).ok().filter(|name| !name.is_empty() && name.len() <= NAME)
    }

    /// The body with that model in it.
    pub(crate) fn with_model(&self, body: &Bytes, name: &str) -> Pieces {
        let edit = match self.field(MODEL) {
            Some(place) => Edit { place, with: name.to_owned().into() },
            None => {
                let head = "content-disposition: form-data; name=\"model\"";
                let with = format!("--{}\r\n{head}\r\n\r\n{name}\r\n", self.boundary).into();
                Edit { place: self.begin..self.begin, with }
            }
        };
        Pieces::spliced(body, vec![edit])
    }

    /// Everything but the boundary, which a client chooses anew each time it sends the same form.
    pub(crate) fn without_boundary(&self, body: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(body.len());
        for Part { head, value, .. } in &self.parts {
            text.extend_from_slice(format!("{} {} ", head.len(), value.len()).as_bytes());
            text.extend_from_slice(body.get(head.clone()).unwrap_or_default());
            text.extend_from_slice(body.get(value.clone()).unwrap_or_default());
        }
        text
    }
}

impl Part {
    /// The part behind a boundary that ends at `at`; none behind the last one.
    fn at(body: &[u8], at: usize, line: &str) -> Result<Option<Self>, Malformed> {
        let cut = Malformed("it ends in the middle of a part");
        let rest = body.get(at..).ok_or(cut)?;
        if rest.starts_with(b"--") {
            return Ok(None);
        }
        if !rest.starts_with(b"\r\n") {
            return Err(Malformed("something stands behind a boundary"));
        }
        // The line end of the boundary begins the blank line where a part has no head.
        let head = find(rest, b"\r\n\r\n").ok_or(cut)?;
        let begin = at + head + 4;
        let end = begin + find(body.get(begin..).ok_or(cut)?, format!("\r\n{line}").as_bytes()).ok_or(cut)?;
        let head = at + 2..at + head.max(2);
        let field = field_of(&String::from_utf8_lossy(body.get(head.clone()).unwrap_or_default()))?;
        Ok(Some(Self { field, head, value: begin..end }))
    }
}

/// The name in a part's head, unless it is a file.
fn field_of(head: &str) -> Result<Option<String>, Malformed> {
    let (mut name, mut is_file) = (None, false);
    for line in head.split("\r\n") {
        let Some((key, value)) = line.split_once(':') else { continue };
        if !key.trim().eq_ignore_ascii_case("content-disposition") {
            continue;
        }
        for (key, value) in parameters(value) {
            match key.to_ascii_lowercase().as_str() {
                "name" if name.is_some() => return Err(Malformed("a part has two names")),
                "name" => name = Some(value),
                "filename" | "filename*" => is_file = true,
                other if other.starts_with("name*") => return Err(Malformed("the name of a part is encoded")),
                _ => {}
            }
        }
    }
    match (name.as_deref(), is_file) {
        (Some(MODEL), true) => Err(Malformed("its field 'model' is a file")),
        (_, true) => Ok(None),
        (_, false) => Ok(name),
    }
}

/// The parameters behind the first word of a header's value.
fn parameters(value: &str) -> impl Iterator<Item = (String, String)> {
    let (mut words, mut quoted, mut escaped) = (vec![String::new()], false, false);
    for letter in value.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => {
                escaped = true;
                continue;
            }
            '"' => {
                quoted = !quoted;
                continue;
            }
            ';' if !quoted => {
                words.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(word) = words.last_mut() {
            word.push(letter);
        }
    }
    words.into_iter().skip(1).filter_map(|word| {
        let (name, value) = word.split_once('=')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TYPE: &str = "multipart/form-data; boundary=\"x y\"";

    fn part(disposition: &str, value: &str) -> String {
        format!("--x y\r\nContent-Disposition: form-data; {disposition}\r\nX: y\r\n\r\n{value}\r\n")
    }

    fn read(parts: &[String]) -> Result<(Form, Bytes), Malformed> {
        let body = Bytes::from(parts.concat() + "--x y--\r\n");
        Form::of(TYPE, &body).map(|form| (form, body))
    }

    #[test]
    fn the_model_is_found_and_changed_and_no_other_byte_is() {
        let sound = part("name=\"file\"; filename=\"a; name=\\\"model\\\".wav\"", "name=\"model\"\r\n\r\nwrong\r\n");
        for parts in [vec![sound.clone(), part("name=model", "m")], vec![part("NAME=\"model\"", "m"), sound.clone()]] {
            let (form, body) = read(&parts).unwrap();
            assert_eq!(form.model(&body).as_deref(), Some("m"));
            let changed = String::from_utf8(form.with_model(&body, "other").joined()).unwrap();
            let wanted = String::from_utf8(body.to_vec()).unwrap().replace("\r\n\r\nm\r\n", "\r\n\r\nother\r\n");
            assert_eq!(changed, wanted);
        }
        let (form, body) = read(std::slice::from_ref(&sound)).unwrap();
        assert_eq!(form.model(&body), None);
        let changed: Bytes = form.with_model(&body, "m").joined().into();
        assert_eq!(Form::of(TYPE, &changed).unwrap().model(&changed).as_deref(), Some("m"));
        assert!(changed.ends_with(&body));
    }

    #[test]
    fn what_two_readers_could_read_otherwise_is_refused() {
        let model = part("name=\"model\"", "m");
        for (parts, why) in [
            (vec![model.clone(), model.clone()], "twice"),
            (vec![part("name=\"x\"", "m"); PARTS + 1], "too many parts"),
            (vec![part("name=\"model\"; name=\"file\"", "m")], "two names"),
            (vec![part("name*=utf-8''model", "m")], "encoded"),
            (vec![part("name=\"model\"; filename=\"m\"", "m")], "is a file"),
            (vec![model.replace("--x y\r\n", "--x y \r\n")], "behind a boundary"),
        ] {
            let error = read(&parts).map(|(form, _)| form).unwrap_err().to_string();
            assert!(error.contains(why), "{error} is not '{why}'");
        }
        assert!(Form::of("multipart/form-data", b"--\r\n").is_err());
        assert!(Form::of(TYPE, model.as_bytes()).is_err(), "it has no end");
    }

    #[test]
    fn the_same_form_is_the_same_whatever_its_boundary_and_another_is_not() {
        let form = |boundary: &str, model: &str| {
            let text = part("name=\"model\"", model) + &part("name=\"empty\"", "") + "--x y--\r\n";
            let body = text.replace("--x y", &format!("--{boundary}")).into_bytes();
            let form = Form::of(&format!("multipart/form-data; boundary={boundary}"), &body).unwrap();
            assert_eq!(form.field("empty").map(|place| place.len()), Some(0));
            form.without_boundary(&body)
        };
        assert_eq!(form("a", "m"), form("another", "m"));
        assert_ne!(form("a", "m"), form("a", "n"));
    }

    proptest! {
        #[test]
        fn no_bytes_whatever_make_it_panic(pieces in proptest::collection::vec(prop_oneof![
            Just(b"--x y".to_vec()), Just(b"\r\n".to_vec()), Just(b"--".to_vec()), Just(b"name=\"model\"".to_vec()),
            Just(b"content-disposition: form-data; ".to_vec()), proptest::collection::vec(any::<u8>(), 0..4)], 0..20)
        ) {
            let body = Bytes::from(pieces.concat());
            if let Ok(form) = Form::of(TYPE, &body) {
                let changed: Bytes = form.with_model(&body, "m").joined().into();
                let again = Form::of(TYPE, &changed).map(|form| form.model(&changed));
                prop_assert_eq!(again, Ok(Some("m".to_owned())));
            }
        }
    }
}
