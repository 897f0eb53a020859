//! `GET /health`, `GET /gpu` and `GET /vram`.

use super::access::unanswered;
use crate::api::now;
use crate::error::ok;
use crate::input::Input;
use crate::{Api, ApiError};
use axum::response::Response;
use domain::control::ServiceView;
use domain::nodes::{DeviceReport, Devices, NodeReport, ProcessKind, Reading};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A node that said nothing for so long is not counted; what it had may be gone.
const SILENT_MICROS: i64 = 60_000_000;

/// `GET /health`
pub(super) async fn health(_: Api, _: Input) -> Result<Response, ApiError> {
    Ok(ok(&json!({"status": "ok", "version": env!("CARGO_PKG_VERSION"), "timestamp": now()})))
}

/// `GET /gpu`
pub(super) async fn gpu(api: Api, _: Input) -> Result<Response, ApiError> {
    Ok(ok(&shown(&api.heard_nodes().await?)))
}

/// `GET /vram`
pub(super) async fn vram(api: Api, _: Input) -> Result<Response, ApiError> {
    let (control, within) = (api.control(), api.config.scheduler_patience);
    let (services, overview) = tokio::try_join!(control.services(false, within), control.overview(within))
        .map_err(|error| unanswered(&error))?;
    let reports = api.heard_nodes().await?;
    let sums = Sums::of(&reports);
    let allocated: Vec<Value> = services.iter().map(allocated).collect();
    Ok(ok(&json!({
        "total_mb": sums.total_mb,
        "used_mb": sums.used_mb,
        "free_mb": sums.free_mb,
        "allocated_services": allocated,
        "reserved_mb": reserved(&services),
        "available_for_new_mb": sums.largest_free_mb,
        "gpus": overview.devices,
        "nodes": overview.nodes,
    })))
}

impl Api {
    /// What the nodes that are heard say of themselves. Needs no scheduler.
    pub(super) async fn heard_nodes(&self) -> Result<Vec<NodeReport>, ApiError> {
        let mut reports = self.parts.bus.nodes().reports().await?;
        let since = now().as_micros() - SILENT_MICROS;
        reports.retain(|report| report.at.as_micros() > since);
        Ok(reports)
    }
}

/// All GPUs in one.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) total_mb: u64,
    pub(super) used_mb: u64,
    pub(super) free_mb: u64,
    pub(super) largest_free_mb: u64,
    pub(super) utilisation: u64,
}

impl Sums {
    pub(super) fn of(reports: &[NodeReport]) -> Self {
        let mut sums = Self::default();
        let (mut known, mut percents) = (0, 0);
        for device in devices(reports) {
            let free = number(&device.memory.free_mb);
            sums.total_mb += number(&device.memory.total_mb);
            sums.used_mb += number(&device.memory.used_mb);
            sums.free_mb += free;
            sums.largest_free_mb = sums.largest_free_mb.max(free);
            if let Some(percent) = device.utilisation_percent.value() {
                known += 1;
                percents += u64::from(*percent);
            }
        }
        sums.utilisation = percents.checked_div(known).unwrap_or(0);
        sums
    }
}

fn devices(reports: &[NodeReport]) -> impl Iterator<Item = &DeviceReport> {
    reports.iter().flat_map(|report| report.devices.seen())
}

fn number(reading: &Reading<u64>) -> u64 {
    reading.value().copied().unwrap_or(0)
}

/// The contract's one GPU: sums over all, with each as its node reports it under `gpus`.
fn shown(reports: &[NodeReport]) -> Value {
    let all: Vec<&DeviceReport> = devices(reports).collect();
    let each: Vec<Value> =
        reports.iter().flat_map(|report| report.devices.seen().iter().map(|device| on(report, device))).collect();
    let Some(first) = all.first() else { return unavailable(reports) };
    let sums = Sums::of(reports);
    let hottest = all.iter().filter_map(|device| device.temperature_c.value()).max().copied().unwrap_or(0);
    let power: f64 = all.iter().filter_map(|device| device.power_w.value()).sum();
    #[expect(clippy::cast_precision_loss, reason = "megabytes of memory are far below 2^52")]
    let share = if sums.total_mb == 0 { 0.0 } else { sums.used_mb as f64 / sums.total_mb as f64 * 100.0 };
    json!({
        "available": true,
        "gpu_name": if all.len() == 1 { first.name.clone() } else { names(&all) },
        "gpu_utilization_pct": sums.utilisation,
        "memory_used_mb": sums.used_mb,
        "memory_total_mb": sums.total_mb,
        "memory_free_mb": sums.free_mb,
        "memory_utilization_pct": super::view::tenths(share),
        "temperature_c": hottest,
        "power_draw_w": super::view::tenths(power),
        "unified_memory": all.iter().any(|device| device.unified),
        "processes": all.iter().flat_map(|device| processes(device)).collect::<Vec<_>>(),
        "gpus": each,
    })
}

fn names(all: &[&DeviceReport]) -> String {
    let counted = all.iter().fold(BTreeMap::<&str, u32>::new(), |mut counted, device| {
        *counted.entry(&device.name).or_default() += 1;
        counted
    });
    counted.iter().map(|(name, count)| format!("{count} x {name}")).collect::<Vec<_>>().join(", ")
}

/// A GPU as its node reports it, with the node.
pub(super) fn on(report: &NodeReport, device: &DeviceReport) -> Value {
    let mut shown = json!(device);
    shown["node"] = json!(report.node);
    shown
}

fn processes(device: &DeviceReport) -> Vec<Value> {
    let listed = device.processes.value().map(Vec::as_slice).unwrap_or_default();
    let shown = listed.iter().map(|process| {
        let kind = match process.kind {
            ProcessKind::Compute => "C",
            ProcessKind::Graphics => "G",
            ProcessKind::Both => "C+G",
        };
        let name = process.name.value().map_or("", String::as_str);
        json!({"pid": process.pid, "type": kind, "name": name, "memory_mb": number(&process.memory_mb), "gpu": device.id})
    });
    shown.collect()
}

fn unavailable(reports: &[NodeReport]) -> Value {
    let whys = reports.iter().filter_map(|report| match &report.devices {
        Devices::Absent { because } | Devices::Failing { because, .. } => Some(format!("{}: {because}", report.node)),
        Devices::Seen { .. } => None,
    });
    let whys: Vec<String> = whys.collect();
    let error = if whys.is_empty() {
        "no GPU host reports; start its agent with `gantry gpu-monitor`".to_owned()
    } else {
        whys.join("; ")
    };
    json!({
        "available": false,
        "error": error,
        "gpu_name": null,
        "gpu_utilization_pct": null,
        "memory_used_mb": null,
        "memory_total_mb": null,
        "memory_free_mb": null,
        "memory_utilization_pct": null,
        "temperature_c": null,
        "power_draw_w": null,
        "processes": [],
        "gpus": [],
    })
}

fn allocated(view: &ServiceView) -> Value {
    json!({
        "service": view.record.name,
        "vram_gb": view.record.vram_gb,
        "vram_mb": view.record.vram_gb * 1024.0,
        "container_running": view.container_running,
        "reserved_mb": view.reserved_mb,
        "learned_peak_mb": view.learned_peak_mb,
        "gpus": view.devices,
    })
}

/// Per running container, the most that one of its services declares.
fn reserved(services: &[ServiceView]) -> f64 {
    let mut most: BTreeMap<(&Option<String>, &str), f64> = BTreeMap::new();
    for view in services.iter().filter(|view| view.container_running) {
        if let Some(container) = &view.record.container {
            let declared = most.entry((&view.node, container)).or_default();
            *declared = declared.max(view.record.vram_gb * 1024.0);
        }
    }
    // The sum of nothing is a negative zero.
    most.values().fold(0.0, |sum, declared| sum + declared)
}
