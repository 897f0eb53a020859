//! The heads of HTTP/1.1: a request's is written, an answer's is read, and with it how the answer's body ends.

use super::chunks::Chunks;
use bytes::{Buf, Bytes};
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

/// Headers of an answer, and bytes of its head; a server that sends more does not mean well.
const HEADERS: usize = 100;
const BYTES: usize = 64 * 1024;
/// Bytes of a usual request's head.
const USUAL: usize = 768;
/// What only the connection itself says, or its backend's own configuration.
const OWN: [HeaderName; 5] = [HOST, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];

/// An answer's head cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(&'static str);

/// What a request's head says.
pub(super) struct Asking<'a> {
    pub(super) method: &'a Method,
    /// Of which the path and the query are said.
    pub(super) uri: &'a Uri,
    pub(super) host: &'a HeaderValue,
    pub(super) authorization: Option<&'a HeaderValue>,
    pub(super) headers: &'a HeaderMap,
    /// Bytes of the body.
    pub(super) length: u64,
    /// Whether the connection is to stay.
    pub(super) stays: bool,
}

impl Asking<'_> {
    /// As it goes over the wire.
    pub(super) fn text(&self) -> Bytes {
        let mut text = Vec::with_capacity(USUAL);
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        for part in [self.method.as_str(), " ", path, " HTTP/1.1\r\n"] {
            text.extend_from_slice(part.as_bytes());
        }
        let mut say = |name: &HeaderName, value: &[u8]| {
            for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
                text.extend_from_slice(part);
            }
        };
        say(&HOST, self.host.as_bytes());
        for (name, value) in self.headers.iter().filter(|(name, _)| !OWN.contains(name)) {
            say(name, value.as_bytes());
        }
        if let Some(key) = self.authorization {
            say(&AUTHORIZATION, key.as_bytes());
        }
        if !self.stays {
            say(&CONNECTION, b"close");
        }
        if self.length > 0 || *self.method != Method::GET {
            say(&CONTENT_LENGTH, self.length.to_string().as_bytes());
        }
        text.extend_from_slice(b"\r\n");
        text.into()
    }
}

/// How a body ends.
#[derive(Debug)]
pub(super) enum Framing {
    /// After so many bytes more.
    Length(u64),
    Chunked(Chunks),
    /// With the connection.
    Connection,
}

/// An answer's head.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) framing: Framing,
    /// Whether the connection may be used again behind the body.
    pub(super) stays: bool,
}

impl Head {
    /// Reads one and takes it from the front of `input`, or nothing if it is not whole. Those that only say that another
    /// one follows are passed over.
    pub(super) fn read(input: &mut Bytes) -> Result<Option<Self>, Malformed> {
        loop {
            let mut space = [httparse::EMPTY_HEADER; HEADERS];
            let mut parsed = httparse::Response::new(&mut space);
            let length = match parsed.parse(input) {
                Ok(httparse::Status::Complete(length)) => length,
                Ok(httparse::Status::Partial) if input.len() < BYTES => return Ok(None),
                Ok(httparse::Status::Partial) => return Err(Malformed("the head of the answer has no end")),
                Err(_) => return Err(Malformed("the head of the answer is not HTTP/1.1")),
            };
            let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
            let status = status.ok_or(Malformed("the answer has no readable status"))?;
            if status == StatusCode::SWITCHING_PROTOCOLS {
                return Err(Malformed("the server changed to a protocol that nobody asked for"));
            }
            if status.is_informational() {
                input.advance(length);
                continue;
            }
            let version = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
            let mut headers = HeaderMap::with_capacity(parsed.headers.len());
            for header in parsed.headers.iter() {
                let name = HeaderName::from_bytes(header.name.as_bytes());
                let value = HeaderValue::from_maybe_shared(input.slice_ref(header.value));
                let (Ok(name), Ok(value)) = (name, value) else {
                    return Err(Malformed("the answer has a header that cannot be read"));
                };
                headers.append(name, value);
            }
            input.advance(length);
            return Self::of(status, version, headers).map(Some);
        }
    }

    /// RFC 9112, 6.3 and 9.3.
    fn of(status: StatusCode, version: Version, headers: HeaderMap) -> Result<Self, Malformed> {
        let has_none = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let coding = headers.get_all(TRANSFER_ENCODING).iter().next_back();
        let framing = match (coding, length(&headers)?) {
            _ if has_none => Framing::Length(0),
            (Some(_), _) if version == Version::HTTP_10 => {
                return Err(Malformed("an answer of HTTP/1.0 has a transfer coding"));
            }
            (Some(coding), _) if last_word(coding).eq_ignore_ascii_case(b"chunked") => {
                Framing::Chunked(Chunks::default())
            }
            (Some(_), _) | (None, None) => Framing::Connection,
            (None, Some(length)) => Framing::Length(length),
        };
        let says = |word: &str| {
            let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
            values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
        };
        let is_kept = if version == Version::HTTP_11 { !says("close") } else { says("keep-alive") };
        // Who says both does not know where its answer ends.
        let is_clear = coding.is_none() || !headers.contains_key(CONTENT_LENGTH);
        let stays = is_kept && is_clear && !matches!(framing, Framing::Connection);
        Ok(Self { status, headers, framing, stays })
    }
}

fn last_word(value: &HeaderValue) -> &[u8] {
    value.as_bytes().rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii()
}

fn length(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let bad = Malformed("the answer has no readable length");
    let mut found = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for word in value.to_str().map_err(|_| bad)?.split(',') {
            let word = word.trim();
            if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(bad);
            }
            let length: u64 = word.parse().map_err(|_| bad)?;
            if found.replace(length).is_some_and(|other| other != length) {
                return Err(Malformed("the answer has two lengths"));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Option<Head>, Malformed> {
        Head::read(&mut Bytes::copy_from_slice(text.as_bytes()))
    }

    fn ends(text: &str) -> (String, bool) {
        let head = read(text).unwrap().unwrap();
        let framing = match head.framing {
            Framing::Length(length) => length.to_string(),
            Framing::Chunked(_) => "chunked".to_owned(),
            Framing::Connection => "connection".to_owned(),
        };
        (framing, head.stays)
    }

    #[test]
    fn how_a_body_ends_and_whether_the_connection_stays_is_said_by_the_head() {
        for (text, framing, stays) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", "5", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: Close\r\n\r\n", "5", false),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\ncontent-length: 5\r\n\r\n", "5", true),
            ("HTTP/1.1 200\r\ntransfer-encoding: chunked\r\n\r\n", "chunked", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n", "chunked", true),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 9\r\n\r\n", "chunked", false),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", "connection", false),
            ("HTTP/1.1 200 OK\r\n\r\n", "connection", false),
            ("HTTP/1.1 204 No Content\r\n\r\n", "0", true),
            ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n", "5", false),
            ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\n", "5", true),
            ("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n", "1", true),
        ] {
            assert_eq!(ends(text), (framing.to_owned(), stays), "{text:?}");
        }
    }

    #[test]
    fn a_head_that_leaves_the_end_of_its_body_open_to_guesses_is_refused() {
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(BYTES));
        assert!(read(&endless).is_err());
    }

    #[test]
    fn a_request_says_its_headers_once_and_none_that_are_the_connections_own() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-request-id", "r"), ("host", "evil"), ("authorization", "Bearer client")] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let (host, key) = (HeaderValue::from_static("h:1"), HeaderValue::from_static("Bearer own"));
        let uri: Uri = "/v1/chat/completions?a=b".parse().unwrap();
        let asking = |method, length, stays| Asking {
            method,
            uri: &uri,
            host: &host,
            authorization: Some(&key),
            headers: &headers,
            length,
            stays,
        };
        let text = "POST /v1/chat/completions?a=b HTTP/1.1\r\nhost: h:1\r\nx-request-id: r\r\n\
                    authorization: Bearer own\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(asking(&Method::POST, 0, true).text(), text);
        let text = "GET /v1/chat/completions?a=b HTTP/1.1\r\nhost: h:1\r\nx-request-id: r\r\n\
                    authorization: Bearer own\r\nconnection: close\r\n\r\n";
        assert_eq!(asking(&Method::GET, 0, false).text(), text);
    }

    proptest! {
        #[test]
        fn a_head_ends_at_its_blank_line_wherever_it_is_cut_and_what_follows_is_left(cut in 0_usize..1_000) {
            let text = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\na: b\r\ncontent-length: 2\r\n\r\nok";
            let (end, cut) = (text.len() - 2, cut % (text.len() + 1));
            let mut input = Bytes::from_static(&text[..cut]);
            let head = Head::read(&mut input).unwrap();
            prop_assert_eq!(head.is_some(), cut >= end);
            if head.is_some() {
                prop_assert_eq!(&input[..], &text[end..cut]);
            }
        }

        #[test]
        fn no_bytes_whatever_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), starts in any::<bool>()) {
            let text = if starts { [&b"HTTP/1.1 200 OK\r\n"[..], &bytes].concat() } else { bytes };
            let _ = Head::read(&mut text.into());
        }
    }
}
