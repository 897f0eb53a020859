//! A service that does nothing: what a job costs through it is what the control plane costs.

use anyhow::Result;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Notify, mpsc};

/// Jobs whose beginning somebody waits for.
const BEGINNINGS: usize = 64;

/// The service. It ends with the program.
pub(crate) struct Worker {
    pub(crate) url: String,
    /// When jobs with a `mark` began, by that mark.
    pub(crate) begun: mpsc::Receiver<(u64, Instant)>,
}

#[derive(Clone)]
struct Desk {
    begun: mpsc::Sender<(u64, Instant)>,
    stop: Arc<Notify>,
}

impl Worker {
    pub(crate) async fn start() -> Result<Self> {
        let (sender, begun) = mpsc::channel(BEGINNINGS);
        let desk = Desk { begun: sender, stop: Arc::default() };
        let routes = Router::new()
            .route("/health", get(async || "ok"))
            .route("/process", post(process))
            .route("/stop", post(stop))
            .with_state(desk);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { url, begun })
    }
}

/// Answers at once; a job with `hold` stays until the service is told to stop it, and then is not done.
async fn process(State(desk): State<Desk>, Json(payload): Json<Value>) -> (StatusCode, Json<Value>) {
    let stopped = desk.stop.notified();
    if let Some(mark) = payload["mark"].as_u64() {
        // Nobody waits for it any more when the measurement is over.
        let _ = desk.begun.send((mark, Instant::now())).await;
    }
    if payload["hold"] == true {
        stopped.await;
        return (StatusCode::CONFLICT, Json(json!({"error": "stopped"})));
    }
    (StatusCode::OK, Json(json!({})))
}

/// Stops what is held, at once and without a snapshot.
async fn stop(State(desk): State<Desk>) -> Json<Value> {
    desk.stop.notify_waiters();
    Json(json!({}))
}
