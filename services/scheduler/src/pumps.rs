//! What brings inputs in: requests, questions, nodes and their events, each in its own order.

use crate::board::Board;
use crate::drive::Input;
use crate::effects::Shared;
use crate::error::SchedulerError;
use bus::control::{Request, RequestBody};
use domain::control::Order;
use std::sync::Arc;

/// Starts them all. They end with the leadership.
pub(crate) async fn start(shared: &Arc<Shared>, board: &Board) -> Result<(), SchedulerError> {
    let mut questions = shared.bus.control_questions().await?;
    let inner = shared.clone();
    shared.spawn("questions", async move {
        while let Some(asked) = questions.next().await {
            inner.send(Input::Asked(Box::new(asked))).await;
        }
    });
    let (inner, cursor) = (shared.clone(), board.particulars.cursor);
    shared.spawn("requests", async move {
        let mut requests = inner.bus.control_requests(cursor);
        loop {
            let request = requests.next().await;
            keep_snapshot(&inner, &request).await;
            inner.send(Input::Request(Box::new(request))).await;
        }
    });
    let inner = shared.clone();
    shared.spawn("nodes", async move {
        let mut nodes = inner.bus.nodes().watch();
        loop {
            let update = nodes.next().await;
            inner.send(Input::Node(Box::new(update))).await;
        }
    });
    let inner = shared.clone();
    shared.spawn("seats", async move {
        let mut seats = inner.bus.seats();
        loop {
            let said = seats.next().await;
            inner.send(Input::Seats(Box::new(said))).await;
        }
    });
    let (inner, cursor) = (shared.clone(), board.particulars.node_cursor);
    shared.spawn("node-events", async move {
        let mut events = inner.bus.nodes().events(cursor + 1);
        loop {
            let (sequence, event) = events.next().await;
            inner.send(Input::NodeEvent(sequence, Box::new(event))).await;
        }
    });
    Ok(())
}

/// A reported snapshot becomes a document before the report is taken in, so that what the log says is there, is there.
async fn keep_snapshot(shared: &Shared, request: &Request) {
    let Some(RequestBody::Order(order)) = &request.body else { return };
    if let Order::ReportProgress { job, snapshot: Some(snapshot), .. } = &order.order
        && let Err(error) = shared.bus.job_documents().store_snapshot(job, snapshot).await
    {
        tracing::warn!(%error, %job, "a reported snapshot was not stored");
    }
}
