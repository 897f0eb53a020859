//! Names of this service's metrics.

/// Notices taken from their stream by `outcome` (`routed`, `unwanted`, `stale`, `silenced`), counter.
pub const NOTICES: &str = "gantry_notifier_notices_total";
/// Attempts to deliver by `channel` and `outcome` (`delivered`, `later`, `given_up`, `limited`), counter.
pub const DELIVERIES: &str = "gantry_notifier_deliveries_total";
/// From an attempt's begin to its answer by `channel`, histogram in seconds.
pub const DELIVERY_SECONDS: &str = "gantry_notifier_delivery_seconds";
/// Notices that went out together with others, counter.
pub const GROUPED: &str = "gantry_notifier_grouped_total";
/// Notices stored by `source` (`runs`, `control`), counter.
pub const STORED: &str = "gantry_notifier_stored_total";
