//! Reads the fields of one event block.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// What one block says. Field names other than these three carry nothing for a relay.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The block as it arrived.
    pub(crate) raw: Bytes,
    /// `event:`, if named.
    pub(crate) event: Option<Bytes>,
    /// All `data:` lines, joined by line feeds.
    pub(crate) data: Option<Bytes>,
    /// An `error:` line, which old llama.cpp servers send in the place of data.
    pub(crate) error: Option<Bytes>,
    /// Whether the block is exactly `data: …` and a blank line, so that it can go on as it is.
    pub(crate) plain: bool,
}

impl Frame {
    /// Reads a block that [`super::Splitter`] cut.
    pub(crate) fn read(raw: Bytes) -> Self {
        if let Some(frame) = Self::read_plain(&raw) {
            return frame;
        }
        let mut frame = Self { raw: raw.clone(), ..Self::default() };
        let mut at = 0;
        while at < raw.len() {
            let end = memchr2(b'\n', b'\r', &raw[at..]).map_or(raw.len(), |step| at + step);
            frame.take(raw.slice(at..end));
            at = end + if raw[end..].starts_with(b"\r\n") { 2 } else { 1 };
        }
        frame
    }

    /// The form nearly every event has: one data line.
    fn read_plain(raw: &Bytes) -> Option<Self> {
        let inner = raw.strip_prefix(b"data: ")?.strip_suffix(b"\n\n")?;
        if memchr2(b'\n', b'\r', inner).is_some() {
            return None;
        }
        Some(Self { data: Some(raw.slice_ref(inner)), raw: raw.clone(), plain: true, ..Self::default() })
    }

    /// Whether the block holds only comments.
    pub(crate) fn is_comment(&self) -> bool {
        self.data.is_none() && self.error.is_none() && self.event.is_none()
    }

    /// Whether `data` is the mark that ends a stream; spaces around it are forgiven.
    pub(crate) fn is_done(&self) -> bool {
        self.data.as_ref().is_some_and(|data| data.trim_ascii() == b"[DONE]")
    }

    fn take(&mut self, line: Bytes) {
        let colon = line.iter().position(|byte| *byte == b':');
        let name = &line[..colon.unwrap_or(line.len())];
        let mut value = colon.map_or_else(Bytes::new, |colon| line.slice(colon + 1..));
        if value.first() == Some(&b' ') {
            value = value.slice(1..);
        }
        match name {
            b"data" => self.data = Some(join(self.data.take(), value)),
            b"event" => self.event = Some(value),
            b"error" => self.error = Some(value),
            _ => {}
        }
    }
}

fn join(before: Option<Bytes>, line: Bytes) -> Bytes {
    let Some(before) = before else { return line };
    let mut joined = BytesMut::with_capacity(before.len() + 1 + line.len());
    joined.extend_from_slice(&before);
    joined.extend_from_slice(b"\n");
    joined.extend_from_slice(&line);
    joined.freeze()
}

/// `data: …` and a blank line around one line of JSON.
pub(crate) fn event(json: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(json.len() + 8);
    out.extend_from_slice(b"data: ");
    one_line(json, &mut out);
    out.extend_from_slice(b"\n\n");
    out.freeze()
}

/// JSON has no line feeds inside its texts, so the ones between its tokens may go: not every client joins lines.
fn one_line(json: &[u8], out: &mut BytesMut) {
    let from = out.len();
    out.extend_from_slice(json);
    for byte in out[from..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')) {
        *byte = b' ';
    }
}

/// The same with an `event:` line, as Anthropic clients need it.
pub(crate) fn named_event(name: &str, json: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(name.len() + json.len() + 16);
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    one_line(json, &mut out);
    out.extend_from_slice(b"\n\n");
    out.freeze()
}

/// The end mark of OpenAI streams.
pub(crate) const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");
/// A comment that keeps a connection alive.
pub(crate) const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");
