//! The format specification mini-language: width, alignment, sign, grouping, precision and type.

use super::number::Num;
use super::repr::float_repr;
use super::{Exception, Raise, TEXT_BYTES, Writer, chars_len, excerpt, slice, to_str, type_name};
use serde_json::Value;

/// No float has more digits than this in either direction; what lies beyond are zeros.
const EXACT_DIGITS: usize = 1_100;

/// Writes `format(value, spec)`.
pub(super) fn format_value(out: &mut Writer, value: &Value, spec: &str) -> Result<(), Exception> {
    if spec.is_empty() {
        let text = to_str(value);
        out.charge(text.len())?;
        return out.push(&text);
    }
    let name = type_name(value);
    match (value, Num::of(value)) {
        (Value::String(text), _) => format_text(out, text, &Spec::parse(spec, name, '<')?),
        (_, Some(Num::Int(int))) => format_int(out, int, &Spec::parse(spec, name, '>')?, name),
        (_, Some(Num::Float(float))) => format_float(out, float, &Spec::parse(spec, name, '>')?, name),
        (_, None) => Err(Exception::type_error(format!("unsupported format string passed to {name}.__format__"))),
    }
}

/// A parsed specification.
struct Spec {
    fill: char,
    align: char,
    sign: Option<char>,
    no_negative_zero: bool,
    alternate: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

impl Spec {
    fn parse(text: &str, type_name: &str, default_align: char) -> Result<Self, Exception> {
        let is_align = |letter: &char| matches!(letter, '<' | '>' | '=' | '^');
        let letters: Vec<char> = text.chars().take(2).collect();
        let mut rest = text;
        let (mut fill, mut align) = (None, None);
        if let Some(second) = letters.get(1).filter(|letter| is_align(letter)) {
            (fill, align) = (Some(letters[0]), Some(*second));
            rest = &rest[letters[0].len_utf8() + 1..];
        } else if let Some(first) = letters.first().filter(|letter| is_align(letter)) {
            align = Some(*first);
            rest = &rest[1..];
        }
        let sign = rest.chars().next().filter(|letter| matches!(letter, ' ' | '+' | '-'));
        rest = &rest[sign.map_or(0, char::len_utf8)..];
        let no_negative_zero = skip(&mut rest, 'z');
        let alternate = skip(&mut rest, '#');
        if fill.is_none() && skip(&mut rest, '0') {
            fill = Some('0');
            align = align.or((default_align == '>').then_some('='));
        }
        let width = digits(&mut rest)?.unwrap_or(0);
        let comma = skip(&mut rest, ',');
        let underscore = skip(&mut rest, '_');
        if comma && (underscore || rest.starts_with(',')) || underscore && rest.starts_with(',') {
            return Err(Exception::value("Cannot specify both ',' and '_'."));
        }
        let grouping = if comma { Some(',') } else { underscore.then_some('_') };
        let precision = if skip(&mut rest, '.') {
            let digits = digits(&mut rest)?;
            Some(digits.ok_or_else(|| Exception::value("Format specifier missing precision"))?)
        } else {
            None
        };
        let mut kinds = rest.chars();
        let kind = kinds.next();
        if kinds.next().is_some() {
            let message = format!("Invalid format specifier {} for object of type '{type_name}'", excerpt(text));
            return Err(Exception::value(message));
        }
        let spec = Self {
            fill: fill.unwrap_or(' '),
            align: align.unwrap_or(default_align),
            sign,
            no_negative_zero,
            alternate,
            width,
            grouping,
            precision,
            kind,
        };
        spec.check_grouping()?;
        Ok(spec)
    }

    fn check_grouping(&self) -> Result<(), Exception> {
        let Some(separator) = self.grouping else { return Ok(()) };
        match self.kind {
            None | Some('d' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%') => Ok(()),
            Some('b' | 'o' | 'x' | 'X') if separator == '_' => Ok(()),
            Some(kind) => Err(Exception::value(format!("Cannot specify '{separator}' with '{kind}'."))),
        }
    }

    fn unknown_kind(&self, type_name: &str) -> Exception {
        let kind = self.kind.unwrap_or(' ');
        Exception::value(format!("Unknown format code '{kind}' for object of type '{type_name}'"))
    }

    /// Writes a body of so many characters, padded to the width.
    fn pad(&self, out: &mut Writer, chars: usize, head: &str, body: &[&str]) -> Result<(), Exception> {
        let missing = self.width.saturating_sub(chars);
        let (left, inner, right) = match self.align {
            '<' => (0, 0, missing),
            '^' => (missing / 2, 0, missing - missing / 2),
            '=' => (0, missing, 0),
            _ => (missing, 0, 0),
        };
        out.repeat(self.fill, left)?;
        out.push(head)?;
        out.repeat(self.fill, inner)?;
        body.iter().try_for_each(|piece| out.push(piece))?;
        out.repeat(self.fill, right)
    }
}

fn skip(rest: &mut &str, letter: char) -> bool {
    let stripped = rest.strip_prefix(letter);
    *rest = stripped.unwrap_or(rest);
    stripped.is_some()
}

fn digits(rest: &mut &str) -> Result<Option<usize>, Exception> {
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    let (number, after) = rest.split_at(end);
    *rest = after;
    if number.is_empty() {
        return Ok(None);
    }
    match number.parse() {
        Ok(number) if number <= TEXT_BYTES => Ok(Some(number)),
        Ok(_) => Err(Exception::too_large("the text", TEXT_BYTES)),
        Err(_) => Err(Exception::value("Too many decimal digits in format string")),
    }
}

fn format_text(out: &mut Writer, text: &str, spec: &Spec) -> Result<(), Exception> {
    let refusal = match spec {
        Spec { kind: Some(kind), .. } if *kind != 's' => return Err(spec.unknown_kind("str")),
        Spec { sign: Some(_), .. } => Some("Sign not allowed in string format specifier"),
        Spec { no_negative_zero: true, .. } => {
            Some("Negative zero coercion (z) not allowed in string format specifier")
        }
        Spec { alternate: true, .. } => Some("Alternate form (#) not allowed in string format specifier"),
        Spec { grouping: Some(_), .. } => Some("Cannot specify ',' with 's'."),
        Spec { align: '=', .. } => Some("'=' alignment not allowed in string format specifier"),
        Spec { .. } => None,
    };
    if let Some(refusal) = refusal {
        return Err(Exception::value(refusal));
    }
    out.charge(text.len())?;
    let shown = match spec.precision {
        Some(precision) => slice(text, 0, i64::try_from(precision).ok()),
        None => text,
    };
    spec.pad(out, chars_len(shown), "", &[shown])
}

fn format_int(out: &mut Writer, int: i128, spec: &Spec, type_name: &str) -> Result<(), Exception> {
    if matches!(spec.kind, Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%')) {
        return format_float(out, int as f64, spec, type_name);
    }
    if spec.precision.is_some() {
        return Err(Exception::value("Precision not allowed in integer format specifier"));
    }
    if spec.no_negative_zero {
        return Err(Exception::value(
            "Negative zero coercion (z) not allowed in format specifier with integer format code",
        ));
    }
    let magnitude = int.unsigned_abs();
    let (prefix, digits) = match spec.kind {
        None | Some('d' | 'n') => ("", magnitude.to_string()),
        Some('b') => ("0b", format!("{magnitude:b}")),
        Some('o') => ("0o", format!("{magnitude:o}")),
        Some('x') => ("0x", format!("{magnitude:x}")),
        Some('X') => ("0X", format!("{magnitude:X}")),
        Some('c') => return format_character(out, int, spec),
        Some(_) => return Err(spec.unknown_kind(type_name)),
    };
    let group = if matches!(spec.kind, Some('b' | 'o' | 'x' | 'X')) { 4 } else { 3 };
    let sign = sign_text(int < 0, spec);
    let head = if spec.alternate { format!("{sign}{prefix}") } else { sign.to_owned() };
    lay_out(out, spec, &head, &digits, "", group)
}

fn format_character(out: &mut Writer, int: i128, spec: &Spec) -> Result<(), Exception> {
    if spec.sign.is_some() {
        return Err(Exception::value("Sign not allowed with integer format specifier 'c'"));
    }
    if spec.alternate {
        return Err(Exception::value("Alternate form (#) not allowed with integer format specifier 'c'"));
    }
    let letter = u32::try_from(int)
        .ok()
        .and_then(char::from_u32)
        .ok_or_else(|| Exception::new(Raise::OverflowError, "%c arg not in range(0x110000)"))?;
    spec.pad(out, 1, "", &[letter.encode_utf8(&mut [0; 4])])
}

fn format_float(out: &mut Writer, float: f64, spec: &Spec, type_name: &str) -> Result<(), Exception> {
    let magnitude = float.abs();
    let kind = spec.kind.map(|kind| kind.to_ascii_lowercase());
    let places = spec.precision.unwrap_or(6);
    let mut body = match (kind, spec.precision) {
        (None, None) => float_repr(magnitude),
        (None, Some(digits)) => general(magnitude, digits, spec.alternate, true),
        (Some('g'), _) => general(magnitude, places, spec.alternate, false),
        (Some('n'), _) if spec.kind == Some('n') => general(magnitude, places, spec.alternate, false),
        (Some('f'), _) => fixed(magnitude, places),
        (Some('e'), _) => {
            let (mantissa, exponent) = scientific(magnitude, places);
            mantissa + &exponent_text(exponent)
        }
        (Some('%'), _) => fixed(magnitude * 100.0, places),
        (Some(_), _) => return Err(spec.unknown_kind(type_name)),
    };
    if spec.alternate && !body.contains('.') {
        let at = body.find('e').unwrap_or(body.len());
        body.insert(at, '.');
    }
    if spec.kind.is_some_and(|kind| kind.is_ascii_uppercase()) {
        body.make_ascii_uppercase();
    }
    if kind == Some('%') {
        body.push('%');
    }
    let split = body.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(body.len());
    let zero = !body.bytes().take_while(|byte| !matches!(byte, b'e' | b'E')).any(|b| (b'1'..=b'9').contains(&b));
    let negative = float.is_sign_negative() && !(spec.no_negative_zero && zero);
    lay_out(out, spec, sign_text(negative, spec), &body[..split], &body[split..], 3)
}

fn sign_text(negative: bool, spec: &Spec) -> &'static str {
    match spec.sign {
        _ if negative => "-",
        Some('+') => "+",
        Some(' ') => " ",
        Some(_) | None => "",
    }
}

/// Groups the whole part, filling with zeros under the separators when the width is filled with zeros.
fn lay_out(out: &mut Writer, spec: &Spec, head: &str, whole: &str, tail: &str, group: usize) -> Result<(), Exception> {
    let Some(separator) = spec.grouping.filter(|_| !whole.is_empty()) else {
        return spec.pad(out, chars_len(head) + whole.len() + tail.len(), head, &[whole, tail]);
    };
    let zero_filled = spec.fill == '0' && spec.align == '=';
    let least = if zero_filled { spec.width.saturating_sub(head.len() + tail.len()) } else { 0 };
    let mut count = whole.len().max(least / (group + 1) * group);
    while count + (count - 1) / group < least {
        count += 1;
    }
    let mut grouped = String::with_capacity(count + count / group);
    let zeros = std::iter::repeat_n('0', count - whole.len());
    for (index, digit) in zeros.chain(whole.chars()).enumerate() {
        if index > 0 && (count - index).is_multiple_of(group) {
            grouped.push(separator);
        }
        grouped.push(digit);
    }
    spec.pad(out, head.len() + grouped.len() + tail.len(), head, &[&grouped, tail])
}

/// So many decimals, rounded half to even on the exact value.
fn fixed(number: f64, places: usize) -> String {
    if !number.is_finite() {
        return "inf".to_owned();
    }
    let exact = places.min(EXACT_DIGITS);
    let mut text = format!("{number:.exact$}");
    text.extend(std::iter::repeat_n('0', places - exact));
    text
}

/// A mantissa with so many decimals, and the exponent.
fn scientific(number: f64, places: usize) -> (String, i32) {
    let exact = places.min(EXACT_DIGITS);
    let text = format!("{number:.exact$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mut mantissa = mantissa.to_owned();
    mantissa.extend(std::iter::repeat_n('0', places - exact));
    (mantissa, exponent.parse().unwrap_or(0))
}

fn exponent_text(exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("e{sign}{:02}", exponent.unsigned_abs())
}

/// So many significant digits, with an exponent where it is shorter; `point` keeps a decimal in the plain form.
fn general(number: f64, digits: usize, keep_zeros: bool, point: bool) -> String {
    let digits = digits.max(1);
    let (mantissa, exponent) = scientific(number, digits - 1);
    let plain_below = i64::try_from(digits).unwrap_or(i64::MAX) - i64::from(point);
    let trim = |text: String| {
        if keep_zeros || !text.contains('.') {
            return text;
        }
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    if exponent < -4 || i64::from(exponent) >= plain_below {
        return trim(mantissa) + &exponent_text(exponent);
    }
    let places = i64::try_from(digits).unwrap_or(i64::MAX) - 1 - i64::from(exponent);
    let text = trim(fixed(number, usize::try_from(places).unwrap_or(0)));
    if point && !text.contains('.') { text + ".0" } else { text }
}
