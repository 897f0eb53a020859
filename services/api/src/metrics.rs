//! Names of the metrics of this service.

/// Answered requests, by route and status.
pub(crate) const REQUESTS: &str = "gantry_http_requests_total";
/// Seconds until the head of the answer, by route.
pub(crate) const SECONDS: &str = "gantry_http_request_seconds";
/// Ledger streams that are open.
pub(crate) const STREAMS: &str = "gantry_ledger_streams";
