//! `GET /gpu/events`: what each GPU host says of itself, as it says it.
//!
//! A stream begins with each node's last report. Every report replaces the one before, so there is nothing to resume.

use super::events::{answer_with, written};
use super::gpu::on;
use crate::input::Input;
use crate::stream::keep_alive;
use crate::{Api, ApiError};
use axum::response::Response;
use bus::{NodeUpdate, NodeWatch};
use bytes::Bytes;
use domain::nodes::{Devices, NodeReport};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub(super) async fn events(api: Api, input: Input) -> Result<Response, ApiError> {
    let follow = Follow {
        watch: api.parts.bus.nodes().watch(),
        heartbeat: Duration::from_secs_f64(input.number("heartbeat_s").unwrap_or(15.0)),
        stop: api.parts.stop.clone(),
    };
    Ok(answer_with(futures::stream::unfold(follow, |mut follow| async move { Some((follow.next().await?, follow)) })))
}

struct Follow {
    watch: NodeWatch,
    heartbeat: Duration,
    stop: CancellationToken,
}

impl Follow {
    async fn next(&mut self) -> Option<Bytes> {
        tokio::select! {
            () = self.stop.cancelled() => None,
            () = tokio::time::sleep(self.heartbeat) => Some(keep_alive()),
            update = self.watch.next() => Some(match update {
                NodeUpdate::Report(report) => written("", "report", &shown(&report)),
                NodeUpdate::Silent { node } => written("", "silent", &json!({"node": node})),
            }),
        }
    }
}

fn shown(report: &NodeReport) -> Value {
    let error = match &report.devices {
        Devices::Absent { because } | Devices::Failing { because, .. } => Some(because.as_str()),
        Devices::Seen { .. } => None,
    };
    json!({
        "node": report.node,
        "at": report.at,
        "version": report.version,
        "gpus": report.devices.seen().iter().map(|device| on(report, device)).collect::<Vec<_>>(),
        "error": error,
        "system_total_mb": report.system_total_mb,
        "system_available_mb": report.system_available_mb,
    })
}
