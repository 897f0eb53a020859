//! What the proxy must know of a request body, and the few things it may change in one.

use super::{Edit, Malformed, find, scan};
use bytes::Bytes;
use std::ops::Range;

/// What a backend needs otherwise than the client said it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Change<'a> {
    /// Another name for the model.
    pub(crate) model: Option<&'a str>,
    /// The chunk that carries usage.
    pub(crate) ask_usage: bool,
    /// Embeddings as lists of numbers, which every backend understands.
    pub(crate) ask_floats: bool,
    /// A member that names the request, which the body must not have yet, and its value.
    pub(crate) id: Option<(&'a str, &'a str)>,
}

/// The members of a request that decide its route.
#[derive(Debug)]
pub(crate) struct Peek {
    /// The model that the client named.
    pub(crate) model: Option<String>,
    /// Whether it wants its answer as events.
    pub(crate) stream: bool,
    /// Whether it asked for the chunk that carries usage.
    pub(crate) wants_usage: bool,
    /// `encoding_format` of an embeddings request.
    pub(crate) encoding: Option<String>,
    /// Where the prompt stands, for affinity and for a first guess at its length.
    pub(crate) prompt: Option<Range<usize>>,
    /// A member that cannot be meant, and what it must be.
    pub(crate) wrong: Option<(&'static str, &'static str)>,
    inside: usize,
    empty: bool,
    places: Places,
}

#[derive(Debug)]
struct Places {
    model: Option<Range<usize>>,
    /// The options with usage asked for, ready to be put in.
    options: Option<Edit>,
    include_usage: Option<Range<usize>>,
    encoding: Option<Range<usize>>,
}

impl Peek {
    /// Reads the members; the rest of the body is only skipped over.
    pub(crate) fn of(body: &[u8]) -> Result<Self, Malformed> {
        let keys = ["model", "stream", "stream_options", "encoding_format", "messages", "prompt", "input"];
        let [model, stream, options, encoding, messages, prompt, input] = find(body, keys)?;
        let include_usage = match &options {
            Some(place) if body[place.start] == b'{' => {
                find(&body[place.clone()], ["include_usage"])?[0].clone().map(|inner| shift(inner, place.start))
            }
            Some(_) | None => None,
        };
        let options = options.map(|place| Edit { with: with_usage(&body[place.clone()]), place });
        let inside = scan::Members::of(body)?.inside;
        let text = |place: &Option<Range<usize>>| {
            place.clone().and_then(|place| scan::decode(body.get(place)?).map(std::borrow::Cow::into_owned))
        };
        let is = |place: &Option<Range<usize>>, good: &[&[u8]]| {
            place.as_ref().is_none_or(|place| good.iter().any(|word| body[place.clone()].starts_with(word)))
        };
        let wrong = [
            (is(&model, &[b"\"", b"null"]), ("model", "a string")),
            (is(&stream, &[b"true", b"false", b"null"]), ("stream", "true or false")),
        ];
        Ok(Self {
            wrong: wrong.into_iter().find(|(good, _)| !good).map(|(_, what)| what),
            model: text(&model.clone().filter(|place| body[place.start] == b'"')),
            stream: stream.is_some_and(|place| &body[place] == b"true"),
            wants_usage: include_usage.clone().is_some_and(|place| &body[place] == b"true"),
            encoding: text(&encoding.clone().filter(|place| body[place.start] == b'"')),
            prompt: messages.or(prompt).or(input),
            inside,
            empty: body[inside..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}'),
            places: Places { model, options, include_usage, encoding },
        })
    }

    /// What has to be changed for that.
    pub(crate) fn edits(&self, change: &Change<'_>) -> Vec<Edit> {
        let (mut edits, mut inserted) = (Vec::new(), Vec::new());
        if let Some(model) = change.model {
            let quoted = serde_json::Value::from(model).to_string();
            match &self.places.model {
                Some(place) => edits.push(Edit { place: place.clone(), with: quoted.into() }),
                None => inserted.push(format!("\"model\":{quoted}")),
            }
        }
        if change.ask_usage && !self.wants_usage {
            match (&self.places.include_usage, &self.places.options) {
                (Some(place), _) => edits.push(Edit { place: place.clone(), with: Bytes::from_static(b"true") }),
                (None, Some(options)) => edits.push(options.clone()),
                (None, None) => inserted.push(r#""stream_options":{"include_usage":true}"#.to_owned()),
            }
        }
        if let (true, Some(place)) = (change.ask_floats, &self.places.encoding) {
            edits.push(Edit { place: place.clone(), with: Bytes::from_static(b"\"float\"") });
        }
        if let Some((member, id)) = change.id {
            inserted.push(format!("\"{member}\":{}", serde_json::Value::from(id)));
        }
        if !inserted.is_empty() {
            let comma = if self.empty { "" } else { "," };
            let with = format!("{}{comma}", inserted.join(",")).into();
            edits.push(Edit { place: self.inside..self.inside, with });
        }
        edits
    }
}

fn with_usage(options: &[u8]) -> Bytes {
    let mut options: domain::Object = serde_json::from_slice(options).unwrap_or_default();
    options.insert("include_usage".into(), true.into());
    serde_json::Value::Object(options).to_string().into()
}

fn shift(place: Range<usize>, by: usize) -> Range<usize> {
    place.start + by..place.end + by
}
