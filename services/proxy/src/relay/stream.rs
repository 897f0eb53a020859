//! The bytes of a connection, in the clear or within TLS.

use bytes::{Bytes, BytesMut};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes that are read at once where nothing says how many will come; they lie on the stack until it is known.
const PIECE: usize = 4 * 1024;
/// Bytes that are read at once of what is known to be long.
const MOST: usize = 64 * 1024;

type Plain = TokioIo<TcpStream>;

/// A connection. What TLS needs is large, and most backends are asked without.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TokioIo<MaybeHttpsStream<Plain>>>),
}

impl Stream {
    /// What a connector made.
    pub(super) fn new(stream: MaybeHttpsStream<Plain>) -> Self {
        match stream {
            MaybeHttpsStream::Http(plain) => Self::Plain(plain.into_inner()),
            tls @ MaybeHttpsStream::Https(_) => Self::Tls(Box::new(TokioIo::new(tls))),
        }
    }

    /// The next bytes of about so many that are to come; empty at the end.
    pub(super) fn poll_bytes(&mut self, cx: &mut Context<'_>, to_come: u64) -> Poll<io::Result<Bytes>> {
        let to_come = usize::try_from(to_come).unwrap_or(MOST).min(MOST);
        if to_come <= PIECE {
            let mut piece = [0; PIECE];
            let mut buffer = ReadBuf::new(&mut piece);
            ready!(self.poll_read(cx, &mut buffer))?;
            return Poll::Ready(Ok(Bytes::copy_from_slice(buffer.filled())));
        }
        let mut piece = BytesMut::zeroed(to_come);
        let mut buffer = ReadBuf::new(&mut piece);
        ready!(self.poll_read(cx, &mut buffer))?;
        let filled = buffer.filled().len();
        piece.truncate(filled);
        Poll::Ready(Ok(piece.freeze()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(plain) => Pin::new(plain).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }

    /// Writes what the system takes; how many bytes that were.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(plain) => Pin::new(plain).poll_write_vectored(cx, slices),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        }
    }

    /// Sends on what TLS holds back.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }
}
