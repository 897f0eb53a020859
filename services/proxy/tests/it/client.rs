//! A client that sees exactly the bytes that arrive.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A response, and whether it ended as a whole one.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) whole: bool,
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    /// The `data:` of every event.
    pub(crate) fn data(&self) -> Vec<&str> {
        self.text().lines().filter_map(|line| line.strip_prefix("data: ")).collect()
    }
}

/// An open request.
pub(crate) struct Open {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Open {
    /// Sends a request.
    pub(crate) async fn send(
        address: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let extra: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let has_type = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let kind = if has_type { "" } else { "content-type: application/json\r\n" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n{kind}content-length: {}\r\n{extra}\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        Self { stream, bytes: Vec::new() }
    }

    /// Reads until that text has come.
    pub(crate) async fn until(&mut self, text: &str) -> &mut Self {
        let reading = async {
            while !String::from_utf8_lossy(&self.bytes).contains(text) {
                let read = self.stream.read_buf(&mut self.bytes).await.unwrap();
                assert!(read > 0, "ended before '{text}': {}", String::from_utf8_lossy(&self.bytes));
            }
        };
        tokio::time::timeout(Duration::from_secs(10), reading).await.unwrap_or_else(|_| panic!("never '{text}'"));
        self
    }

    /// Reads whatever comes next; there must be something.
    pub(crate) async fn more(&mut self) {
        let read = tokio::time::timeout(Duration::from_secs(10), self.stream.read_buf(&mut self.bytes)).await;
        assert!(read.expect("something comes").unwrap() > 0, "it has ended");
    }

    /// Reads to the end.
    pub(crate) async fn reply(mut self) -> Reply {
        let reading = async { while self.stream.read_buf(&mut self.bytes).await.is_ok_and(|read| read > 0) {} };
        tokio::time::timeout(Duration::from_secs(20), reading).await.expect("the response ends");
        parse(&self.bytes)
    }
}

/// Sends a request and reads its response.
pub(crate) async fn call(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    Open::send(address, method, path, headers, body).await.reply().await
}

fn parse(bytes: &[u8]) -> Reply {
    let at = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_else(|| panic!("no head: {bytes:?}"));
    let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let rest = &bytes[at + 4..];
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        let (body, whole) = dechunk(rest);
        return Reply { status, head, body, whole };
    }
    let mut reply = Reply { status, head, body: rest.to_vec(), whole: true };
    reply.whole = reply.header("content-length").is_none_or(|length| length.parse() == Ok(rest.len()));
    reply
}

fn dechunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(at) = rest.windows(2).position(|window| window == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..at]).unwrap(), 16).unwrap();
        if length == 0 {
            return (body, true);
        }
        let Some(piece) = rest.get(at + 2..at + 2 + length) else {
            break;
        };
        body.extend_from_slice(piece);
        rest = &rest[(at + 4 + length).min(rest.len())..];
    }
    (body, false)
}
