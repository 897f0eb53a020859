//! Clients that cost as little as they can: one connection each, kept open.

use crate::runs::percentile;
use anyhow::{Result, bail};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The key that every proxy is asked with.
pub(super) const KEY: &str = "bench-key-of-forty-characters-0123456789";

/// A request as it goes over the wire.
pub(super) fn request(body: &str) -> Vec<u8> {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// What a load has shown. Times in seconds.
pub(super) struct Load {
    pub(super) requests: usize,
    pub(super) time: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// So many clients, one request after the other each. How long their first ones take is left out: connections are made then.
pub(super) async fn load(address: SocketAddr, request: &[u8], clients: usize, time: Duration) -> Result<Load> {
    let began = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..clients {
        let request = request.to_vec();
        tasks.push(tokio::spawn(async move {
            let (mut connection, mut times, mut requests) = (open(address).await?, Vec::new(), 0);
            while began.elapsed() < time {
                let from = Instant::now();
                connection.write_all(&request).await?;
                whole(&mut connection).await?;
                if requests > 0 {
                    times.push(from.elapsed().as_secs_f64());
                }
                requests += 1;
            }
            anyhow::Ok((times, requests))
        }));
    }
    let (mut times, mut requests) = (Vec::new(), 0);
    for task in tasks {
        let (more, count) = task.await??;
        times.extend(more);
        requests += count;
    }
    let time = began.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    Ok(Load { requests, time, p50: percentile(&times, 0.5), p99: percentile(&times, 0.99) })
}

pub(super) async fn open(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads one response to its end; its body as it came.
async fn whole(connection: &mut TcpStream) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(2_048);
    loop {
        if let Some(at) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at]).to_ascii_lowercase();
            if !head.starts_with("http/1.1 200") {
                bail!("{}", String::from_utf8_lossy(&bytes));
            }
            let length: Option<usize> =
                head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            let over = match length {
                Some(length) => bytes.len() >= at + 4 + length,
                None => bytes.ends_with(b"0\r\n\r\n"),
            };
            if over {
                bytes.drain(..at + 4);
                return Ok(bytes);
            }
        }
        if connection.read_buf(&mut bytes).await? == 0 {
            bail!("the connection ended within a response");
        }
    }
}

/// Follows a paced stream: how late each chunk was in seconds, sorted, and the events as they came.
pub(super) async fn follow(address: SocketAddr, request: &[u8], epoch: Instant) -> Result<(Vec<f64>, Vec<u8>)> {
    const MARK: &[u8] = b"\"content\":\"";
    let mut connection = open(address).await?;
    connection.write_all(request).await?;
    let (mut bytes, mut late, mut from) = (Vec::new(), Vec::new(), 0);
    while !bytes.ends_with(b"\r\n0\r\n\r\n") {
        if connection.read_buf(&mut bytes).await? == 0 {
            bail!("the stream was broken off: {}", String::from_utf8_lossy(&bytes));
        }
        let now = epoch.elapsed().as_nanos() as f64;
        while let Some(at) = bytes[from..].windows(MARK.len()).position(|part| part == MARK) {
            let number = &bytes[from + at + MARK.len()..];
            let Some(end) = number.iter().position(|byte| *byte == b'"') else { break };
            let sent: f64 = std::str::from_utf8(&number[..end])?.parse()?;
            late.push((now - sent) / 1e9);
            from += at + MARK.len() + end;
        }
    }
    late.sort_by(f64::total_cmp);
    let body = bytes.windows(4).position(|part| part == b"\r\n\r\n").map_or(0, |at| at + 4);
    Ok((late, unchunked(&bytes[body..])))
}

/// The payload of a chunked body.
fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    while let Some(line) = bytes.windows(2).position(|part| part == b"\r\n") {
        let length = std::str::from_utf8(&bytes[..line]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let Some(piece) = length.filter(|length| *length > 0).and_then(|length| bytes.get(line + 2..line + 2 + length))
        else {
            break;
        };
        payload.extend_from_slice(piece);
        bytes = bytes.get(line + 4 + piece.len()..).unwrap_or_default();
    }
    payload
}

/// Opens a stream and waits for its first event.
pub(super) async fn hold(address: SocketAddr, request: &[u8]) -> Result<TcpStream> {
    let mut connection = open(address).await?;
    connection.write_all(request).await?;
    let mut bytes = Vec::with_capacity(512);
    while !bytes.windows(6).any(|part| part == b"data: ") {
        if connection.read_buf(&mut bytes).await? == 0 {
            bail!("no stream: {}", String::from_utf8_lossy(&bytes));
        }
    }
    Ok(connection)
}
