//! Texts: space, length, slices and replacement, counted in code points.

use super::{Exception, Writer};

/// Python's `isspace`: Unicode white space and the four ASCII separators.
pub fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

/// `text.strip()`.
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `len(text)`.
pub fn chars_len(text: &str) -> usize {
    text.chars().count()
}

/// `text[start:end]`; negative positions count from the end.
pub fn slice(text: &str, start: i64, end: Option<i64>) -> &str {
    let length = i64::try_from(chars_len(text)).unwrap_or(i64::MAX);
    let place = |at: i64| {
        if at < 0 { at.saturating_add(length).max(0) } else { at.min(length) }
    };
    let (start, end) = (place(start), place(end.unwrap_or(length)));
    if start >= end {
        return "";
    }
    let offset = |at: i64| {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        text.char_indices().nth(at).map_or(text.len(), |(offset, _)| offset)
    };
    &text[offset(start)..offset(end)]
}

/// `text.replace(pattern, replacement, count)`, without the case of an empty pattern.
pub fn replace(text: &str, pattern: &str, replacement: &str, count: Option<usize>) -> Result<String, Exception> {
    let mut out = Writer::default();
    let mut done = 0;
    if !pattern.is_empty() {
        for (at, _) in text.match_indices(pattern).take(count.unwrap_or(usize::MAX)) {
            out.push(&text[done..at])?;
            out.push(replacement)?;
            done = at + pattern.len();
        }
    }
    out.push(&text[done..])?;
    Ok(out.finish())
}
