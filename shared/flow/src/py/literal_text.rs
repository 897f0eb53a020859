//! Reads Python's text literals: prefixes, quotes, escapes, and neighbours that join.

use super::Exception;
use super::literal::Reader;

/// One or more text literals in a row, joined; `None` when no text literal is next. Bytes and f-strings are refused.
pub(super) fn read_text(reader: &mut Reader<'_>) -> Result<Option<String>, Exception> {
    let Some(mut text) = read_one(reader)? else {
        return Ok(None);
    };
    loop {
        reader.skip_space();
        match read_one(reader)? {
            Some(next) => text.push_str(&next),
            None => return Ok(Some(text)),
        }
    }
}

fn read_one(reader: &mut Reader<'_>) -> Result<Option<String>, Exception> {
    let mut letters = reader.rest().chars();
    let (prefix, quote) = match letters.next() {
        Some(quote @ ('\'' | '"')) => (None, quote),
        Some(prefix @ ('r' | 'R' | 'u' | 'U')) => match letters.next() {
            Some(quote @ ('\'' | '"')) => (Some(prefix), quote),
            Some(_) | None => return Ok(None),
        },
        Some(_) | None => return Ok(None),
    };
    reader.skip(prefix.map_or(0, char::len_utf8));
    let raw = matches!(prefix, Some('r' | 'R'));
    let triple: String = std::iter::repeat_n(quote, 3).collect();
    let long = reader.take(&triple);
    let end = if long { triple.as_str() } else { &triple[..1] };
    if !long {
        reader.skip(1);
    }
    read_body(reader, end, raw).map(Some)
}

fn read_body(reader: &mut Reader<'_>, end: &str, raw: bool) -> Result<String, Exception> {
    let mut out = String::new();
    while !reader.take(end) {
        match reader.next() {
            None => return Err(reader.malformed()),
            Some('\n') if end.len() == 1 => return Err(reader.malformed()),
            Some('\\') if raw => {
                out.push('\\');
                out.extend(reader.next());
            }
            Some('\\') => read_escape(reader, &mut out)?,
            Some(letter) => out.push(letter),
        }
    }
    Ok(out)
}

fn read_escape(reader: &mut Reader<'_>, out: &mut String) -> Result<(), Exception> {
    let letter = reader.next().ok_or_else(|| reader.malformed())?;
    match letter {
        '\n' => {}
        '\\' | '\'' | '"' => out.push(letter),
        'a' => out.push('\u{7}'),
        'b' => out.push('\u{8}'),
        'f' => out.push('\u{c}'),
        'n' => out.push('\n'),
        'r' => out.push('\r'),
        't' => out.push('\t'),
        'v' => out.push('\u{b}'),
        'x' => out.push(scalar(hex(reader, 2)?)),
        'u' => {
            let unit = hex(reader, 4)?;
            out.push(scalar(paired(reader, unit)?));
        }
        'U' => {
            let code = hex(reader, 8)?;
            if code > 0x10_ffff {
                return Err(reader.malformed());
            }
            out.push(scalar(code));
        }
        'N' => return Err(reader.malformed()),
        '0'..='7' => {
            let rest = reader.rest();
            let more = rest.bytes().take(2).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
            let digits = format!("{letter}{}", &rest[..more]);
            reader.skip(more);
            out.push(scalar(u32::from_str_radix(&digits, 8).unwrap_or(0)));
        }
        _ => out.extend(['\\', letter]),
    }
    Ok(())
}

fn hex(reader: &mut Reader<'_>, digits: usize) -> Result<u32, Exception> {
    let rest = reader.rest();
    let sound = rest.len() >= digits && rest.bytes().take(digits).all(|byte| byte.is_ascii_hexdigit());
    if !sound {
        return Err(reader.malformed());
    }
    let code = u32::from_str_radix(&rest[..digits], 16).unwrap_or(0);
    reader.skip(digits);
    Ok(code)
}

/// Joins a high surrogate with the low one that follows it, as readers of JSON do.
fn paired(reader: &mut Reader<'_>, unit: u32) -> Result<u32, Exception> {
    let low_next = reader.rest().get(..4).is_some_and(|next| {
        let next = next.to_ascii_lowercase();
        next.starts_with("\\ud") && next.ends_with(['c', 'd', 'e', 'f'])
    });
    if !(0xd800..0xdc00).contains(&unit) || !low_next {
        return Ok(unit);
    }
    reader.skip(2);
    let low = hex(reader, 4)?;
    Ok(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00))
}

/// A lone surrogate is no character here; it becomes the replacement character.
fn scalar(code: u32) -> char {
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}
