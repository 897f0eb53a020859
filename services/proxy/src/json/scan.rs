//! Finds members of a JSON object by their place in the text, without reading what it does not need.

use memchr::memchr2;
use std::borrow::Cow;
use std::ops::Range;

/// Deeper documents are refused, so that a hostile one cannot cost more than its length.
const DEPTH: usize = 128;

/// Why a text is not the JSON object that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub(crate) struct Malformed {
    what: &'static str,
    at: usize,
}

/// One member: its key, and where its value stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) value: Range<usize>,
}

/// Walks the members of the object that `text` holds, starting at `from`.
pub(crate) struct Members<'a> {
    text: &'a [u8],
    at: usize,
    first: bool,
    ended: bool,
    /// The byte behind the opening brace.
    pub(crate) inside: usize,
}

impl<'a> Members<'a> {
    /// Opens the object; leading white space is allowed, anything else is not.
    pub(crate) fn of(text: &'a [u8]) -> Result<Self, Malformed> {
        let at = skip_space(text, 0);
        if text.get(at) != Some(&b'{') {
            return Err(Malformed { what: "expected '{'", at });
        }
        Ok(Self { text, at: at + 1, first: true, ended: false, inside: at + 1 })
    }

    /// The next member, or none at the closing brace. What follows the brace must be white space.
    pub(crate) fn next(&mut self) -> Result<Option<Member<'a>>, Malformed> {
        if self.ended {
            return Ok(None);
        }
        let mut at = skip_space(self.text, self.at);
        match self.text.get(at) {
            Some(b'}') => return self.finish(at + 1),
            Some(b',') if !self.first => at = skip_space(self.text, at + 1),
            Some(_) if self.first => {}
            Some(_) | None => {
                return Err(Malformed { what: "expected ',' or '}'", at });
            }
        }
        let end = string_end(self.text, at)?;
        let key = decode(&self.text[at..end]).ok_or(Malformed { what: "bad key", at })?;
        at = skip_space(self.text, end);
        if self.text.get(at) != Some(&b':') {
            return Err(Malformed { what: "expected ':'", at });
        }
        let start = skip_space(self.text, at + 1);
        self.at = value_end(self.text, start)?;
        self.first = false;
        Ok(Some(Member { key, value: start..self.at }))
    }

    fn finish(&mut self, behind: usize) -> Result<Option<Member<'a>>, Malformed> {
        self.ended = true;
        let at = skip_space(self.text, behind);
        if at == self.text.len() { Ok(None) } else { Err(Malformed { what: "text behind the object", at }) }
    }
}

/// Where the values of those keys stand. A key that comes twice is refused: two readers could disagree on it.
pub(crate) fn find<const N: usize>(text: &[u8], keys: [&str; N]) -> Result<[Option<Range<usize>>; N], Malformed> {
    let mut members = Members::of(text)?;
    let mut found = [const { None }; N];
    while let Some(member) = members.next()? {
        if let Some(place) = keys.iter().position(|key| *key == member.key) {
            if found[place].is_some() {
                return Err(Malformed { what: "a key that decides the route comes twice", at: member.value.start });
            }
            found[place] = Some(member.value);
        }
    }
    Ok(found)
}

/// The text of a JSON string, quotes included in `raw`.
pub(crate) fn decode(raw: &[u8]) -> Option<Cow<'_, str>> {
    let inner = raw.get(1..raw.len().checked_sub(1)?)?;
    if inner.contains(&b'\\') {
        return serde_json::from_slice::<String>(raw).ok().map(Cow::Owned);
    }
    std::str::from_utf8(inner).ok().map(Cow::Borrowed)
}

fn skip_space(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

fn string_end(text: &[u8], at: usize) -> Result<usize, Malformed> {
    if text.get(at) != Some(&b'"') {
        return Err(Malformed { what: "expected '\"'", at });
    }
    let mut from = at + 1;
    while let Some(step) = text.get(from..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        if text[from + step] == b'"' {
            return Ok(from + step + 1);
        }
        from += step + 2;
    }
    Err(Malformed { what: "unterminated string", at })
}

fn value_end(text: &[u8], at: usize) -> Result<usize, Malformed> {
    match text.get(at) {
        Some(b'"') => string_end(text, at),
        Some(b'{' | b'[') => container_end(text, at),
        Some(b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
            let rest = &text[at..];
            let length =
                rest.iter().position(|byte| !matches!(byte, b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E'));
            let end = at + length.unwrap_or(rest.len());
            // Few bytes, and the one place where a bare word could pass for a value.
            serde_json::from_slice::<serde::de::IgnoredAny>(&text[at..end])
                .map(|_| end)
                .map_err(|_| Malformed { what: "not a value", at })
        }
        Some(_) | None => Err(Malformed { what: "expected a value", at }),
    }
}

fn container_end(text: &[u8], start: usize) -> Result<usize, Malformed> {
    let mut closers = [0_u8; DEPTH];
    let mut depth = 0;
    let mut at = start;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at = string_end(text, at)?;
                continue;
            }
            b'{' | b'[' => {
                *closers.get_mut(depth).ok_or(Malformed { what: "nested too deep", at })? = byte + 2;
                depth += 1;
            }
            b'}' | b']' => {
                depth -= 1;
                if closers[depth] != *byte {
                    return Err(Malformed { what: "brackets do not match", at });
                }
                if depth == 0 {
                    return Ok(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    Err(Malformed { what: "unterminated value", at: start })
}
