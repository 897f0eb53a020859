//! One setting on its way from text to type.

use super::setting::{items, without_credentials};
use super::{ConfigError, REDACTED, Reader, SecretString, Setting, Source, names};
use std::fmt::Display;
use std::ops::RangeInclusive;

type Parse<T> = Box<dyn Fn(&str) -> Option<T>>;

/// A setting being asked for: name its aliases and bounds, then end with `default`, `optional` or `required`.
#[must_use = "end with default, optional or required"]
pub struct Value<'r, T> {
    reader: &'r mut Reader,
    names: Vec<String>,
    about: &'static str,
    secret: bool,
    accepted: String,
    parse: Parse<T>,
    show: Box<dyn Fn(&T) -> String>,
}

impl<'r, T: Setting> Value<'r, T> {
    pub(super) fn new(reader: &'r mut Reader, name: &str) -> Self {
        Self {
            reader,
            names: vec![name.to_owned()],
            about: "",
            secret: T::SECRET,
            accepted: T::accepted(),
            parse: Box::new(T::parse),
            show: Box::new(T::show),
        }
    }
}

impl<'r, T: Clone + PartialEq + 'static> Value<'r, T> {
    pub(super) fn of_choices(reader: &'r mut Reader, name: &str, choices: &[(&'static str, T)]) -> Self {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let (choices, shown) = (choices.to_vec(), choices.to_vec());
        Self {
            reader,
            names: vec![name.to_owned()],
            about: "",
            secret: false,
            accepted: format!("one of {}", words.join(", ")),
            parse: Box::new(move |text| {
                let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
                found.map(|(_, value)| value.clone())
            }),
            show: Box::new(move |value| {
                let found = shown.iter().find(|(_, other)| other == value);
                found.map_or(String::new(), |(word, _)| (*word).to_owned())
            }),
        }
    }
}

impl<T> Value<'_, T> {
    /// Another variable that sets it; the strongest is asked first. A variable of the peer brings its older twin.
    pub fn alias(mut self, name: &str) -> Self {
        self.names.push(name.to_owned());
        self.names.extend(names::legacy_twin(name));
        self
    }

    /// What it does, in a few words, for `gantry config show`.
    pub fn about(mut self, text: &'static str) -> Self {
        self.about = text;
        self
    }

    /// Accepts only what the predicate holds for; `accepted` says what that is.
    pub fn check(mut self, accepted: &str, holds: impl Fn(&T) -> bool + 'static) -> Self
    where
        T: 'static,
    {
        let parse = self.parse;
        self.parse = Box::new(move |text| parse(text).filter(|value| holds(value)));
        accepted.clone_into(&mut self.accepted);
        self
    }

    /// Accepts only numbers in that range.
    pub fn within(self, range: RangeInclusive<T>) -> Self
    where
        T: PartialOrd + Display + 'static,
    {
        let accepted = format!("a number from {} to {}", range.start(), range.end());
        self.check(&accepted, move |value| range.contains(value))
    }

    /// The value, or this one when nobody set it.
    pub fn default(self, value: T) -> Result<T, ConfigError> {
        let shown = (self.show)(&value);
        self.resolve(Some((value, shown)))?.required()
    }

    /// The value, or nothing when nobody set it.
    pub fn optional(self) -> Result<Option<T>, ConfigError> {
        self.resolve(None).map(|resolved| resolved.value)
    }

    /// The value, which somebody must have set.
    pub fn required(self) -> Result<T, ConfigError> {
        self.resolve(None)?.required()
    }

    fn resolve(self, fallback: Option<(T, String)>) -> Result<Resolved<T>, ConfigError> {
        let name = self.names.first().cloned().unwrap_or_default();
        let found = self.reader.lookup(&self.names).into_iter().next();
        let Some((source_of, text)) = found else {
            let (value, shown) = fallback.map_or((None, String::new()), |(value, shown)| (Some(value), shown));
            self.reader.note(&self.names, shown, Source::Default, self.about);
            return Ok(Resolved { value, name, accepted: self.accepted });
        };
        let Some(value) = (self.parse)(&text) else {
            let shown = if self.secret { "not usable".to_owned() } else { format!("'{}'", without_credentials(&text)) };
            return Err(ConfigError::Unusable { name, source_of, shown, accepted: self.accepted });
        };
        self.reader.note(&self.names, (self.show)(&value), source_of, self.about);
        Ok(Resolved { value: Some(value), name, accepted: self.accepted })
    }
}

struct Resolved<T> {
    value: Option<T>,
    name: String,
    accepted: String,
}

impl<T> Resolved<T> {
    fn required(self) -> Result<T, ConfigError> {
        self.value.ok_or(ConfigError::Missing { name: self.name, accepted: self.accepted })
    }
}

/// Secrets that may be set under several names at once.
#[must_use = "end with all"]
pub struct Secrets<'r> {
    reader: &'r mut Reader,
    names: Vec<String>,
    about: &'static str,
}

impl<'r> Secrets<'r> {
    pub(super) fn new(reader: &'r mut Reader, name: &str) -> Self {
        Self { reader, names: vec![name.to_owned()], about: "" }
    }

    /// Another variable that adds to them.
    pub fn alias(mut self, name: &str) -> Self {
        self.names.push(name.to_owned());
        self.names.extend(names::legacy_twin(name));
        self
    }

    /// What they are for.
    pub fn about(mut self, text: &'static str) -> Self {
        self.about = text;
        self
    }

    /// All of them: every name's list, in order of precedence.
    pub fn all(self) -> Vec<SecretString> {
        let found = self.reader.lookup(&self.names);
        let secrets: Vec<SecretString> =
            found.iter().flat_map(|(_, text)| items(text)).map(|item| item.to_owned().into()).collect();
        let shown = match secrets.len() {
            0 => String::new(),
            1 => REDACTED.to_owned(),
            count => format!("{count} {REDACTED}"),
        };
        let source = found.into_iter().next().map_or(Source::Default, |(source, _)| source);
        self.reader.note(&self.names, shown, source, self.about);
        secrets
    }
}
