//! Names of this service's metrics.

/// Reports published, counter.
pub const REPORTS: &str = "gantry_node_reports_total";
/// Readings of the GPUs by source and outcome, counter.
pub const READINGS: &str = "gantry_node_gpu_readings_total";
/// Time that a reading of the GPUs took, histogram in seconds.
pub const READING_SECONDS: &str = "gantry_node_gpu_reading_seconds";
/// Memory of each GPU by `state` (total, used), gauge in MiB.
pub const MEMORY_MB: &str = "gantry_node_gpu_memory_mb";
/// Orders carried out by verb and outcome, counter.
pub const ORDERS: &str = "gantry_node_orders_total";
/// From an order's delivery to its acknowledgement, histogram in seconds.
pub const ORDER_SECONDS: &str = "gantry_node_order_seconds";
/// Changes of containers told, counter.
pub const CHANGES: &str = "gantry_node_container_changes_total";
/// Whether the container engine answers, gauge: 1 or 0.
pub const ENGINE_UP: &str = "gantry_node_engine_up";
