//! A model server that costs as little as one can: it answers at once, after a pause, or with a stream.

use anyhow::Result;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Chunks of a paced stream, and the time between them.
const CHUNKS: usize = 200;
const PACE: Duration = Duration::from_millis(2);
const MODELS: &str = r#"{"object":"list","data":[{"id":"m","object":"model"}]}"#;
const ANSWER: &str = r#"{"id":"c","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;

/// What it has seen.
#[derive(Clone)]
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    pub(super) epoch: Instant,
    /// The events of the last paced stream.
    pub(super) sent: Arc<Mutex<Vec<u8>>>,
    /// When held streams were hung up.
    pub(super) hung_up: Arc<Mutex<Vec<Instant>>>,
}

/// Starts one on a thread of its own.
pub(super) fn start(pause: Duration) -> Result<Upstream> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let upstream = Upstream { address, epoch: Instant::now(), sent: Arc::default(), hung_up: Arc::default() };
    let shared = upstream.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve(stream, shared.clone(), pause));
            }
        });
    });
    Ok(upstream)
}

async fn serve(mut stream: TcpStream, upstream: Upstream, pause: Duration) -> std::io::Result<()> {
    let mut bytes = Vec::with_capacity(4_096);
    loop {
        let Some(head) = bytes.windows(4).position(|part| part == b"\r\n\r\n") else {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let whole = head + 4 + content_length(&bytes[..head]);
        while bytes.len() < whole {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        }
        let start = &bytes[head + 4..whole.min(head + 304)];
        let says = |word: &str| start.windows(word.len()).any(|part| part == word.as_bytes());
        let (is_get, paced, held) = (bytes.starts_with(b"GET"), says("\"paced\""), says("\"held\""));
        bytes.drain(..whole);
        if paced {
            pace(&mut stream, &upstream).await?;
        } else if held {
            return hold(stream, &upstream).await;
        } else {
            if !pause.is_zero() && !is_get {
                tokio::time::sleep(pause).await;
            }
            let text = if is_get { MODELS } else { ANSWER };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
                text.len()
            );
            stream.write_all(head.as_bytes()).await?;
        }
    }
}

fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    length.unwrap_or(0)
}

const EVENTS: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

fn event(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

async fn chunk(stream: &mut TcpStream, text: &str) -> std::io::Result<()> {
    stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await
}

/// A stream whose chunks carry the time at which they were sent.
async fn pace(stream: &mut TcpStream, upstream: &Upstream) -> std::io::Result<()> {
    stream.write_all(EVENTS).await?;
    let mut all = String::new();
    for at in 0..CHUNKS {
        let role = if at == 0 { "\"role\":\"assistant\"," } else { "" };
        let text = event(&format!("{{{role}\"content\":\"{}\"}}", upstream.epoch.elapsed().as_nanos()), "null");
        chunk(stream, &text).await?;
        all.push_str(&text);
        tokio::time::sleep(PACE).await;
    }
    let last = event("{}", "\"stop\"") + "data: [DONE]\n\n";
    chunk(stream, &last).await?;
    *upstream.sent.lock().unwrap_or_else(PoisonError::into_inner) = (all + &last).into_bytes();
    stream.write_all(b"0\r\n\r\n").await
}

/// One chunk, and then nothing until the other side hangs up.
async fn hold(mut stream: TcpStream, upstream: &Upstream) -> std::io::Result<()> {
    stream.write_all(EVENTS).await?;
    chunk(&mut stream, &event("{\"role\":\"assistant\",\"content\":\"x\"}", "null")).await?;
    let mut rest = [0; 64];
    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    upstream.hung_up.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
    Ok(())
}
