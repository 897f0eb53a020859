//! The bytes of a connection, on their way to the HTTP client or past it.
//!
//! The client reads as much as it can get. So that a body may be read past it, the gate keeps back what lies behind the
//! head of an answer until it is known who reads it.

use bytes::Bytes;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

/// Bytes that are read at once; they lie on the stack until it is known how many came.
const PIECE: usize = 4 * 1024;

const OPEN: u8 = 0;
const HEAD: u8 = 1;
const BEHIND: u8 = 2;

type Plain = TokioIo<tokio::net::TcpStream>;

/// Says what the client may read of a connection, and whether all was written. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate(Arc<State>);

#[derive(Debug, Default)]
struct State {
    reads: AtomicU8,
    stalled: AtomicBool,
}

impl Gate {
    /// Lets no more through than the head of the next answer, or everything.
    pub(super) fn only_the_head(&self, only: bool) {
        self.0.reads.store(if only { HEAD } else { OPEN }, Ordering::Relaxed);
    }

    /// Whether a head has gone through and nothing behind it.
    pub(super) fn is_behind_a_head(&self) -> bool {
        self.0.reads.load(Ordering::Relaxed) == BEHIND
    }

    /// Whether the system has taken everything that was to be written.
    pub(super) fn has_written_all(&self) -> bool {
        !self.0.stalled.load(Ordering::Relaxed)
    }
}

/// A connection.
pub(super) struct Stream {
    kind: Kind,
    gate: Gate,
    /// Read, and not yet handed on.
    rest: Bytes,
    head: Head,
}

/// What TLS needs is large, and most backends are asked without.
enum Kind {
    Plain(Plain),
    Tls(Box<MaybeHttpsStream<Plain>>),
}

/// How far a head has come.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    read: usize,
    /// It says that another one follows.
    is_interim: bool,
    /// The last line is empty so far.
    blank: bool,
}

impl Head {
    /// Reads on; how many bytes there are up to its end, if that is among them.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            // HTTP/1.1 1..
            self.is_interim |= self.read == 9 && *byte == b'1';
            self.read += 1;
            match byte {
                b'\n' if self.blank => {
                    if !std::mem::take(self).is_interim {
                        return Some(at + 1);
                    }
                }
                b'\n' => self.blank = true,
                b'\r' => {}
                _ => self.blank = false,
            }
        }
        None
    }
}

impl Stream {
    /// With its gate open.
    pub(super) fn new(stream: MaybeHttpsStream<Plain>) -> Self {
        let kind = match stream {
            MaybeHttpsStream::Http(plain) => Kind::Plain(plain),
            tls @ MaybeHttpsStream::Https(_) => Kind::Tls(Box::new(tls)),
        };
        Self { kind, gate: Gate::default(), rest: Bytes::new(), head: Head::default() }
    }

    /// Its gate.
    pub(super) fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// The next bytes, past the gate; empty at the end.
    pub(super) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Ok(std::mem::take(&mut self.rest)));
        }
        let mut piece = [0; PIECE];
        let mut buffer = ReadBuf::new(&mut piece);
        ready!(self.kind.poll_read(cx, buffer.unfilled()))?;
        Poll::Ready(Ok(Bytes::copy_from_slice(buffer.filled())))
    }

    fn noted(&self, written: Poll<io::Result<usize>>, offered: usize) -> Poll<io::Result<usize>> {
        let took_all = matches!(&written, Poll::Ready(Ok(taken)) if *taken == offered);
        self.gate.0.stalled.store(!took_all, Ordering::Relaxed);
        written
    }
}

impl Kind {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(plain) => Pin::new(plain).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let reads = self.gate.0.reads.load(Ordering::Relaxed);
        if reads == OPEN && self.rest.is_empty() {
            return self.kind.poll_read(cx, buffer);
        }
        if reads == BEHIND {
            // Whoever decides what becomes of the body is the one who polls now.
            return Poll::Pending;
        }
        let mut bytes = ready!(self.poll_bytes(cx))?;
        self.rest = bytes.split_off(bytes.len().min(buffer.remaining()));
        if reads == HEAD
            && let Some(end) = self.head.end(&bytes)
        {
            let behind = bytes.split_off(end);
            self.rest = if self.rest.is_empty() { behind } else { [behind, self.rest.clone()].concat().into() };
            self.gate.0.reads.store(BEHIND, Ordering::Relaxed);
        }
        buffer.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = match &mut self.kind {
            Kind::Plain(plain) => Pin::new(plain).poll_write(cx, bytes),
            Kind::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        };
        self.noted(written, bytes.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match &mut self.kind {
            Kind::Plain(plain) => Pin::new(plain).poll_flush(cx),
            Kind::Tls(tls) => Pin::new(tls).poll_flush(cx),
        };
        if flushed.is_pending() {
            self.gate.0.stalled.store(true, Ordering::Relaxed);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Plain(plain) => Pin::new(plain).poll_shutdown(cx),
            Kind::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.kind {
            Kind::Plain(plain) => plain.is_write_vectored(),
            Kind::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.kind {
            Kind::Plain(plain) => Pin::new(plain).poll_write_vectored(cx, slices),
            Kind::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        };
        self.noted(written, slices.iter().map(|slice| slice.len()).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::Head;

    #[test]
    fn a_head_ends_with_its_blank_line_however_it_is_cut_and_an_interim_one_is_followed_by_another() {
        let text = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\na: b\r\n\r\n5\r\n";
        let end = text.len() - 3;
        for cut in 0..end {
            let mut head = Head::default();
            assert_eq!(head.end(&text[..cut]), None, "{cut}");
            assert_eq!(head.end(&text[cut..]), Some(end - cut), "{cut}");
        }
        assert_eq!(Head::default().end(b"HTTP/1.1 200 OK\n\nrest"), Some(17));
    }
}
