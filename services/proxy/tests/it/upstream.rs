//! A backend that says exactly the bytes that a test wants, for faults that no real one can be told to have.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }
}

/// The backend, and what it saw.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    counts: watch::Receiver<Counts>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connections: usize,
    pub(crate) requests: usize,
    /// Connections that the proxy closed while an answer was being given, and when the last of them was.
    pub(crate) hung_up: usize,
    pub(crate) hung_up_at: Option<Instant>,
}

/// One connection to the proxy.
pub(crate) struct Conn {
    stream: TcpStream,
    counts: watch::Sender<Counts>,
}

impl Upstream {
    /// Answers every request with that function; the connection stays open if it says so.
    pub(crate) async fn start<F, R>(answer: F) -> Self
    where
        F: Fn(Seen, Conn) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Option<Conn>> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (sender, counts) = watch::channel(Counts::default());
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                sender.send_modify(|counts| counts.connections += 1);
                let mut conn = Conn { stream, counts: sender.clone() };
                let (answer, log) = (answer.clone(), Arc::clone(&log));
                tokio::spawn(async move {
                    while let Some(request) = conn.read().await {
                        log.lock().unwrap().push(request.clone());
                        conn.counts.send_modify(|counts| counts.requests += 1);
                        match answer(request, conn).await {
                            Some(same) => conn = same,
                            None => return,
                        }
                    }
                });
            }
        });
        Self { address, seen, counts }
    }

    /// One that answers every inference request with that stream and a good end, and lists a model `m`.
    pub(crate) async fn of_stream(text: impl Into<String>) -> Self {
        let text: String = text.into();
        Self::start(move |seen, mut conn| {
            let text = text.clone();
            async move {
                if conn.lists_models(&seen).await {
                    return Some(conn);
                }
                conn.events().await;
                conn.chunk(text.as_bytes()).await;
                conn.end().await;
                Some(conn)
            }
        })
        .await
    }

    /// One that answers every inference request with that JSON.
    pub(crate) async fn of_json(status: &'static str, text: impl Into<String>) -> Self {
        let text: String = text.into();
        Self::start(move |seen, mut conn| {
            let text = text.clone();
            async move {
                if !conn.lists_models(&seen).await {
                    conn.json(status, &text).await;
                }
                Some(conn)
            }
        })
        .await
    }

    /// One that says so much of a stream, then nothing until the proxy hangs up; before the head if there is nothing to say.
    pub(crate) async fn silent_after(sent: impl Into<String>) -> Self {
        let sent: String = sent.into();
        Self::start(move |seen, mut conn| {
            let sent = sent.clone();
            async move {
                if conn.lists_models(&seen).await {
                    return Some(conn);
                }
                if !sent.is_empty() {
                    conn.events().await;
                    conn.chunk(sent.as_bytes()).await;
                }
                conn.hung_up().await;
                None
            }
        })
        .await
    }

    /// One whose streams stand still after their first event until they may go on.
    pub(crate) async fn of_stream_in_two(text: String, go: &Arc<Notify>) -> Self {
        let go = Arc::clone(go);
        let behind = text.find("\n\n").map_or(text.len(), |at| at + 2);
        Self::start(move |seen, mut conn| {
            let (go, text) = (Arc::clone(&go), text.clone());
            async move {
                if conn.lists_models(&seen).await {
                    return Some(conn);
                }
                conn.events().await;
                conn.chunk(&text.as_bytes()[..behind]).await;
                go.notified().await;
                conn.chunk(&text.as_bytes()[behind..]).await;
                conn.end().await;
                Some(conn)
            }
        })
        .await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Requests to that path.
    pub(crate) fn requests(&self, path: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.path == path).cloned().collect()
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    /// Waits until that holds.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Counts) -> bool) -> Counts {
        let mut counts = self.counts.clone();
        let waited = tokio::time::timeout(Duration::from_secs(10), counts.wait_for(|counts| holds(counts))).await;
        *waited.unwrap_or_else(|_| panic!("never {what}: {:?}", self.counts())).unwrap()
    }
}

impl Conn {
    async fn read(&mut self) -> Option<Seen> {
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if self.stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
        let seen = Seen { path: head.split(' ').nth(1)?.to_owned(), head, body: Vec::new() };
        let length: usize = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
        while bytes.len() < head_end + length {
            if self.stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
        Some(Seen { body: bytes[head_end..].to_vec(), ..seen })
    }

    /// Answers `/health` and `/v1/models`; false for anything else.
    pub(crate) async fn lists_models(&mut self, seen: &Seen) -> bool {
        if seen.path == "/v1/models" {
            self.json("200 OK", r#"{"object":"list","data":[{"id":"m","object":"model"}]}"#).await;
            return true;
        }
        if seen.path == "/health" || seen.path == "/readyz" || seen.path == "/api/version" {
            self.json("200 OK", "{}").await;
            return true;
        }
        false
    }

    pub(crate) async fn json(&mut self, status: &str, text: &str) {
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", text.len());
        self.send(format!("{head}{text}").as_bytes()).await;
    }

    /// The head of a stream.
    pub(crate) async fn events(&mut self) {
        self.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").await;
    }

    pub(crate) async fn chunk(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.send(&[format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()).await;
        }
    }

    pub(crate) async fn end(&mut self) {
        self.send(b"0\r\n\r\n").await;
    }

    /// Bytes as they are; a proxy that has gone is no fault of the test's.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// Takes one more request and closes without a word.
    pub(crate) async fn reads_one_more_and_goes(&mut self) {
        self.read().await;
    }

    /// Breaks the connection off.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// Waits until the proxy hangs up.
    pub(crate) async fn hung_up(&mut self) {
        let mut byte = [0];
        let gone = matches!(self.stream.read(&mut byte).await, Ok(0) | Err(_));
        assert!(gone, "the proxy sent more");
        self.counts.send_modify(|counts| {
            counts.hung_up += 1;
            counts.hung_up_at = Some(Instant::now());
        });
    }

    /// Sends pieces as fast as they are taken, until the proxy hangs up.
    pub(crate) async fn flood_until_hung_up(&mut self, piece: &[u8]) {
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        while self.stream.write_all(&chunk).await.is_ok() {}
        self.counts.send_modify(|counts| counts.hung_up += 1);
    }

    /// Sends pieces until the proxy hangs up.
    pub(crate) async fn chunk_until_hung_up(&mut self, piece: &[u8], every: Duration) {
        let mut byte = [0];
        while tokio::time::timeout(every, self.stream.read(&mut byte)).await.is_err() {
            self.chunk(piece).await;
        }
        self.counts.send_modify(|counts| {
            counts.hung_up += 1;
            counts.hung_up_at = Some(Instant::now());
        });
    }
}
