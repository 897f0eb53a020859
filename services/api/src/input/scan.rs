//! Finds the first flaw of a JSON text, in the words and offsets that clients of the contract know.
//!
//! The wording is that of Python's `json` module, which the contract's 422 bodies repeat. The scan also bounds
//! nesting, so that no later parser or walker recurses deeper than the product allows.

use domain::limits::JSON_DEPTH;

/// Where a text stops being JSON, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Counted in characters, from 0.
    pub offset: usize,
    /// Such as `Expecting value`.
    pub error: &'static str,
}

type Step = Result<(), (usize, &'static str)>;

/// Checks that the whole text is one JSON value, nested no deeper than the limit.
pub fn scan(text: &str) -> Result<(), Flaw> {
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0 };
    scanner.document().map_err(|(at, error)| {
        let offset = text.as_bytes()[..at.min(text.len())].iter().filter(|byte| (**byte & 0xC0) != 0x80).count();
        Flaw { offset, error }
    })
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn document(&mut self) -> Step {
        self.space();
        self.value(0)?;
        self.space();
        if self.at == self.bytes.len() { Ok(()) } else { Err((self.at, "Extra data")) }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Step {
        match self.peek() {
            Some(b'{' | b'[') if depth >= JSON_DEPTH => Err((self.at, "Nesting too deep")),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.word(),
            None => Err((self.at, "Expecting value")),
        }
    }

    fn word(&mut self) -> Step {
        let rest = &self.bytes[self.at..];
        let Some(word) = ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word.as_bytes())) else {
            return Err((self.at, "Expecting value"));
        };
        self.at += word.len();
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Step {
        self.at += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err((self.at, "Expecting property name enclosed in double quotes"));
            }
            self.string()?;
            self.space();
            if self.peek() != Some(b':') {
                return Err((self.at, "Expecting ':' delimiter"));
            }
            self.at += 1;
            self.space();
            self.value(depth + 1)?;
            if self.ends(b'}')? {
                return Ok(());
            }
        }
    }

    fn array(&mut self, depth: usize) -> Step {
        self.at += 1;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            if self.ends(b']')? {
                return Ok(());
            }
        }
    }

    /// After an element: whether the container closes here, or goes on after a comma.
    fn ends(&mut self, close: u8) -> Result<bool, (usize, &'static str)> {
        self.space();
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(true)
            }
            Some(b',') => {
                self.at += 1;
                self.space();
                Ok(false)
            }
            Some(_) | None => Err((self.at, "Expecting ',' delimiter")),
        }
    }

    fn string(&mut self) -> Step {
        let begin = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                None => return Err((begin, "Unterminated string starting at")),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape(begin)?,
                Some(0..=0x1F) => return Err((self.at, "Invalid control character at")),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self, begin: usize) -> Step {
        let at = self.at;
        match self.bytes.get(at + 1) {
            None => Err((begin, "Unterminated string starting at")),
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                let digits = self.bytes.get(at + 2..at + 6).unwrap_or_default();
                if digits.len() == 4 && digits.iter().all(u8::is_ascii_hexdigit) {
                    self.at += 6;
                    Ok(())
                } else {
                    Err((at + 1, "Invalid \\uXXXX escape"))
                }
            }
            Some(_) => Err((at, "Invalid \\escape")),
        }
    }

    /// A number that goes on as no number can (`01`, `1.`) stops early: what follows is then the flaw.
    fn number(&mut self) -> Step {
        let begin = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            Some(_) | None => return Err((begin, "Expecting value")),
        }
        self.tail(|byte| byte == b'.', false);
        self.tail(|byte| byte == b'e' || byte == b'E', true);
        Ok(())
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn tail(&mut self, begins: impl Fn(u8) -> bool, signed: bool) {
        if !self.peek().is_some_and(begins) {
            return;
        }
        let mut digit = self.at + 1;
        if signed && matches!(self.bytes.get(digit), Some(b'+' | b'-')) {
            digit += 1;
        }
        if matches!(self.bytes.get(digit), Some(b'0'..=b'9')) {
            self.at = digit;
            self.digits();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaw(text: &str) -> (usize, &'static str) {
        scan(text).map_or_else(|flaw| (flaw.offset, flaw.error), |()| panic!("{text} passed"))
    }

    #[test]
    fn flaws_are_named_with_the_offsets_of_the_contract() {
        assert_eq!(flaw("{"), (1, "Expecting property name enclosed in double quotes"));
        assert_eq!(flaw("{bad"), (1, "Expecting property name enclosed in double quotes"));
        assert_eq!(flaw(""), (0, "Expecting value"));
        assert_eq!(flaw("[1,]"), (3, "Expecting value"));
        assert_eq!(flaw("{\"a\" 1}"), (5, "Expecting ':' delimiter"));
        assert_eq!(flaw("[1 2]"), (3, "Expecting ',' delimiter"));
        assert_eq!(flaw("{} x"), (3, "Extra data"));
        assert_eq!(flaw("[\"a"), (1, "Unterminated string starting at"));
        assert_eq!(flaw("\"\u{1}\""), (1, "Invalid control character at"));
        assert_eq!(flaw("[01]"), (2, "Expecting ',' delimiter"));
        assert_eq!(flaw("NaN"), (0, "Expecting value"));
        assert_eq!(flaw("[\"é\", x]"), (6, "Expecting value"));
    }

    #[test]
    fn nesting_is_bounded_and_what_passes_parses() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(scan(&deep(JSON_DEPTH)).is_ok());
        assert_eq!(flaw(&deep(JSON_DEPTH + 1)), (JSON_DEPTH, "Nesting too deep"));
        assert_eq!(flaw(&"[".repeat(200_000)).1, "Nesting too deep");
        for text in ["{\"a\":[1,-2.5e+3,true,null,\"\\u00e9\\n\"]}", " 0 ", "\"x\""] {
            assert!(scan(text).is_ok() && serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
        }
    }
}
