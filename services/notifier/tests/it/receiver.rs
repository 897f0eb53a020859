//! A receiver of webhooks that follows a script and remembers what came.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use testkit::{SOON, until};

/// One answer of the script.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// A status, with headers.
    Status(u16, Vec<(&'static str, String)>),
    /// None, ever.
    Silence,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

#[derive(Clone, Default)]
struct Shared {
    script: Arc<Mutex<VecDeque<Answer>>>,
    received: Arc<Mutex<Vec<Received>>>,
}

pub(crate) struct Receiver {
    pub(crate) url: String,
    pub(crate) port: u16,
    shared: Shared,
}

impl Receiver {
    /// Answers by the script, and after its end with 204.
    pub(crate) fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Shared { script: Arc::new(Mutex::new(script.into_iter().collect())), ..Shared::default() };
        let router = Router::new().fallback(answer).with_state(shared.clone());
        // A thread of its own, so that it survives the runtime of a notifier that is killed.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        Self { url: format!("http://127.0.0.1:{port}/hook"), port, shared }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Waits until so many requests came.
    pub(crate) async fn after(&self, count: usize) -> Vec<Received> {
        until(&format!("{count} requests"), SOON, async || {
            let received = self.received();
            if received.len() >= count { Ok(received) } else { Err(format!("{} came", received.len())) }
        })
        .await
    }
}

async fn answer(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    shared.received.lock().unwrap().push(Received { headers, body });
    let next = shared.script.lock().unwrap().pop_front();
    match next {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(Answer::Silence) => std::future::pending().await,
        Some(Answer::Status(status, headers)) => {
            let mut response = (StatusCode::from_u16(status).unwrap(), "as the script says").into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
    }
}
