//! What an open stream costs a proxy that is a process of its own.

use crate::flows;
use std::net::SocketAddr;
use testkit::{Gateway, open_many_files};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const STREAMS: usize = 1_000;
/// Kilobytes for each of them. It is about 19; what is above that is room for the system's ways with memory.
const EACH: usize = 24;
const LIST: &str = r#"{"object":"list","data":[{"id":"m","object":"model"}]}"#;
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const EVENT: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\
                     \"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"x\"},\"finish_reason\":null}]}\n\n";
const BODY: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

/// A model server that begins a stream and then says nothing more until the other side goes.
#[expect(clippy::disallowed_methods, reason = "the test's own server ends with the test")]
async fn silent_model() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    address
}

async fn answer(mut stream: TcpStream) -> Option<()> {
    let mut seen = Vec::new();
    while !seen.windows(4).any(|part| part == b"\r\n\r\n") {
        if stream.read_buf(&mut seen).await.ok()? == 0 {
            return None;
        }
    }
    let reply = if seen.starts_with(b"GET") {
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{LIST}", LIST.len())
    } else {
        format!("{HEAD}{:x}\r\n{EVENT}\r\n", EVENT.len())
    };
    stream.write_all(reply.as_bytes()).await.ok()?;
    if !seen.starts_with(b"GET") {
        while stream.read_buf(&mut seen).await.ok()? > 0 {}
    }
    None
}

/// Opens one and reads up to its first event.
async fn open(proxy: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        BODY.len()
    );
    stream.write_all(format!("{head}{BODY}").as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.windows(6).any(|part| part == b"data: ") {
        let read = stream.read_buf(&mut seen).await.unwrap();
        assert!(read > 0, "no stream: {}", String::from_utf8_lossy(&seen));
    }
    stream
}

fn resident_kilobytes(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_open_streams_take_at_most_24_kilobytes_each() {
    let model = silent_model().await;
    let gateway = flows::gateway().env("BACKEND_KIND", "vllm").env("BACKEND_BASE_URL", &format!("http://{model}/v1"));
    let gateway: Gateway = gateway.start().await;
    let (process, client) = gateway.add_proxy("of-streams").await;
    // Not before: the proxy has to see to its own limit by itself.
    open_many_files();
    let proxy: SocketAddr = client.url().trim_start_matches("http://").parse().unwrap();
    // What a first request makes for all that follow does not count.
    drop(open(proxy).await);
    let before = resident_kilobytes(process.pid());
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(open(proxy).await);
    }
    let each = resident_kilobytes(process.pid()).saturating_sub(before) / STREAMS;
    assert!(each <= EACH, "each of {} streams takes {each} KB", streams.len());
}
