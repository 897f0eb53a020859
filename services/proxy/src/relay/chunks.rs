//! The chunked transfer coding of HTTP/1.1, read without copying what it carries.

use bytes::{Buf, Bytes};

/// Bytes of a chunk's size line, and of all trailers; a server that sends more does not mean well.
const LINE: usize = 8 * 1024;

/// Where in the coding the bytes stand.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    state: State,
    /// Bytes of the line or of the trailers so far.
    line: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// In the digits of a size; none may have come.
    Size(Option<u64>),
    /// Behind the digits, up to the end of the line.
    Extension(u64),
    /// So many bytes of payload are still to come.
    Payload(u64),
    /// In the line end behind the payload.
    Behind,
    /// At the start of a trailer, or of the blank line that ends all.
    #[default]
    Begin,
    Trailers,
    Trailer,
    Done,
}

/// The bytes are not of that coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(&'static str);

impl Chunks {
    /// Whether the body has ended.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes of payload that are known to come.
    pub(super) fn to_come(&self) -> u64 {
        if let State::Payload(left) = self.state { left } else { 0 }
    }

    /// The next payload in these bytes, which are taken from the front of `input`; none if it has no more.
    pub(super) fn next(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, Malformed> {
        while !input.is_empty() {
            if let State::Payload(left) = self.state {
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                let left = left - length as u64;
                self.state = if left == 0 { State::Behind } else { State::Payload(left) };
                return Ok(Some(input.split_to(length)));
            }
            if self.state == State::Done {
                return Ok(None);
            }
            self.step(input.get_u8())?;
        }
        Ok(None)
    }

    fn step(&mut self, byte: u8) -> Result<(), Malformed> {
        self.line += 1;
        if self.line > LINE {
            return Err(Malformed("a line of the chunked coding has no end"));
        }
        self.state = match (self.state, byte) {
            (State::Begin, _) => return self.size(None, byte),
            (State::Size(size), _) => return self.size(size, byte),
            (State::Extension(size), b'\n') => self.begun(size),
            (State::Extension(size), _) => State::Extension(size),
            (State::Behind, b'\r') => State::Behind,
            (State::Behind, b'\n') => {
                self.line = 0;
                State::Begin
            }
            (State::Trailers, b'\n') => State::Done,
            (State::Trailers, b'\r') => State::Trailers,
            (State::Trailer, b'\n') => State::Trailers,
            (State::Trailers | State::Trailer, _) => State::Trailer,
            (State::Behind, _) => return Err(Malformed("a chunk is longer than its size")),
            (State::Payload(_) | State::Done, _) => self.state,
        };
        Ok(())
    }

    fn size(&mut self, size: Option<u64>, byte: u8) -> Result<(), Malformed> {
        let bad = Malformed("a chunk has no readable size");
        self.state = match (byte, size) {
            (b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F', size) => {
                let digit = char::from(byte).to_digit(16).ok_or(bad)?;
                let size = size.unwrap_or(0);
                if size >> 60 != 0 {
                    return Err(bad);
                }
                State::Size(Some(size << 4 | u64::from(digit)))
            }
            (b'\n', Some(size)) => self.begun(size),
            (b'\r' | b' ' | b'\t' | b';', Some(size)) => State::Extension(size),
            (_, _) => return Err(bad),
        };
        Ok(())
    }

    fn begun(&mut self, size: u64) -> State {
        self.line = 0;
        if size == 0 { State::Trailers } else { State::Payload(size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, usize), Malformed> {
        let (mut chunks, mut payload, mut left) = (Chunks::default(), Vec::new(), 0);
        for piece in pieces {
            let mut input = Bytes::copy_from_slice(piece);
            while let Some(more) = chunks.next(&mut input)? {
                payload.extend_from_slice(&more);
            }
            left += input.len();
        }
        Ok((payload, chunks.is_done(), left))
    }

    proptest! {
        #[test]
        fn the_payload_is_the_same_wherever_the_bytes_are_cut(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
            extension in any::<bool>(),
            trailer in any::<bool>(),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut coded = Vec::new();
            for payload in &payloads {
                let extension = if extension { ";a=\"b\"" } else { "" };
                coded.extend_from_slice(format!("{:X}{extension}\r\n", payload.len()).as_bytes());
                coded.extend_from_slice(payload);
                coded.extend_from_slice(b"\r\n");
            }
            coded.extend_from_slice(if trailer { b"0\r\nx: y\r\n\r\n" } else { b"0\r\n\r\n" });
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(coded.len() + 1)).collect();
            at.extend([0, coded.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &coded[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read(&pieces), Ok((payloads.concat(), true, 0)));
        }

        #[test]
        fn no_bytes_whatever_make_it_panic(bytes in proptest::collection::vec(
            prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'0'), Just(b'f'), any::<u8>()], 0..60)
        ) {
            let _ = read(&[&bytes]);
        }
    }

    #[test]
    fn what_is_not_of_the_coding_is_refused_and_what_follows_the_end_is_left() {
        for bad in ["x\r\n", "\r\n", "3\r\nabcd\r\n", "fffffffffffffffff\r\n"] {
            assert!(read(&[bad.as_bytes()]).is_err(), "{bad:?}");
        }
        assert!(read(&[&[b'0'; 2 * LINE]]).is_err());
        assert_eq!(read(&[b"0\r\n\r\nHTTP"]), Ok((Vec::new(), true, 4)));
        assert_eq!(read(&[b"2\r\nab"]), Ok((b"ab".to_vec(), false, 0)));
    }
}
