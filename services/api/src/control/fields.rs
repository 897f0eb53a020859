//! What the routes of the control plane take.

use crate::input::{Field, Kind};
use crate::operation::BodyKind;

const DAY_MS: i64 = 86_400_000;
const I32: Kind = Kind::Integer { min: Some(i32::MIN as i64), max: Some(i32::MAX as i64) };
const PORT: Kind = Kind::Integer { min: Some(0), max: Some(65_535) };
const VRAM: Kind = Kind::Amount { min: 0.0, max: 1_000_000.0 };

const fn millis(min: i64, max: i64) -> Kind {
    Kind::Integer { min: Some(min), max: Some(max) }
}

/// What is beyond the contract, and stored as a whole; `register::beyond` takes these names.
pub(super) const BEYOND: &[Field] = &[
    Field::optional("job_endpoint", Kind::Text),
    Field::optional("stop_endpoint", Kind::Text),
    Field::optional("stops_on_disconnect", Kind::Flag),
    Field::given("max_concurrency", Kind::Integer { min: Some(1), max: Some(1_024) }),
    Field::given("job_timeout_ms", millis(1, 30 * DAY_MS)),
    Field::optional("start_timeout_ms", millis(1, DAY_MS)),
    Field::given("health_timeout_ms", millis(1, 60_000)),
    Field::optional("idle_timeout_ms", millis(0, 365 * DAY_MS)),
    Field::optional("min_runtime_ms", millis(0, DAY_MS)),
    Field::given("stop_grace_ms", millis(0, 600_000)),
    Field::optional("gpus", Kind::Integer { min: Some(0), max: Some(64) }),
    Field::given("eviction_priority", I32),
    Field::given("nodes", Kind::Texts),
    Field::given("devices", Kind::Texts),
    Field::optional("definition", Kind::Object),
    Field::given("models", Kind::Texts),
    Field::optional("backend_kind", Kind::Text),
    Field::optional("upstream_model", Kind::Text),
];

const REGISTERED: &[Field] = &[
    Field::optional("name", Kind::Text),
    Field::optional("container", Kind::Text),
    Field::optional("port", PORT),
    Field::optional("type", Kind::Text),
    Field::optional("url", Kind::Text),
    Field::optional("health_endpoint", Kind::Text),
    Field::optional("description", Kind::Text),
    Field::optional("vram_gb", VRAM),
    Field::optional("progress_mode", Kind::Text),
    Field::optional("progress_endpoint", Kind::Text),
    Field::optional("enabled", Kind::Flag),
    BEYOND[0],
    BEYOND[1],
    BEYOND[2],
    BEYOND[3],
    BEYOND[4],
    BEYOND[5],
    BEYOND[6],
    BEYOND[7],
    BEYOND[8],
    BEYOND[9],
    BEYOND[10],
    BEYOND[11],
    BEYOND[12],
    BEYOND[13],
    BEYOND[14],
    BEYOND[15],
    BEYOND[16],
    BEYOND[17],
];

const CHANGED: &[Field] = &[
    Field::given("container", Kind::Text),
    Field::given("port", PORT),
    Field::given("type", Kind::Text),
    Field::given("url", Kind::Text),
    Field::given("health_endpoint", Kind::Text),
    Field::optional("description", Kind::Text),
    Field::given("vram_gb", VRAM),
    Field::given("progress_mode", Kind::Text),
    Field::optional("progress_endpoint", Kind::Text),
    BEYOND[0],
    BEYOND[1],
    BEYOND[2],
    BEYOND[3],
    BEYOND[4],
    BEYOND[5],
    BEYOND[6],
    BEYOND[7],
    BEYOND[8],
    BEYOND[9],
    BEYOND[10],
    BEYOND[11],
    BEYOND[12],
    BEYOND[13],
    BEYOND[14],
    BEYOND[15],
    BEYOND[16],
    BEYOND[17],
];

/// Body of `POST /services/register`.
pub(super) const REGISTER: BodyKind = BodyKind::Document { name: "RegisterService", fields: REGISTERED };
/// Body of `PUT /services/{name}`.
pub(super) const UPDATE: BodyKind = BodyKind::Document { name: "UpdateService", fields: CHANGED };
/// Query of `GET /services`.
pub(super) const SERVICES: &[Field] = &[
    Field::optional("type", Kind::Text),
    Field::optional("enabled", Kind::Flag),
    Field::defaults("probe", Kind::Flag, "true"),
];
/// Query of `POST /services/{name}/stop` and `/restart`.
pub(super) const STOP: &[Field] = &[Field::defaults("drain", Kind::Flag, "true")];

/// A job as it is submitted.
pub(super) const JOB: &[Field] = &[
    Field::optional("service_type", Kind::Text),
    Field::optional("payload", Kind::Any),
    Field::optional("priority", I32),
    Field::optional("callback_url", Kind::Text),
    Field::optional("service_name", Kind::Text),
    Field::optional("ttl_seconds", Kind::Integer { min: Some(0), max: Some(315_360_000) }),
    Field::optional("max_attempts", Kind::Integer { min: Some(1), max: Some(100) }),
    Field::optional("timeout_ms", millis(1, 30 * DAY_MS)),
    Field::optional("retry_first_ms", millis(0, DAY_MS)),
    Field::optional("idempotency_key", Kind::Text),
];
/// Body of `POST /queue/submit`.
pub(super) const SUBMIT: BodyKind = BodyKind::Document { name: "SubmitJob", fields: JOB };
/// Query of `POST /queue/submit`.
pub(super) const SUBMITTING: &[Field] = &[Field::defaults("dry_run", Kind::Flag, "false")];
/// Body of `POST /queue/batch`.
pub(super) const BATCH: BodyKind =
    BodyKind::Document { name: "SubmitJobs", fields: &[Field::required("jobs", Kind::List(JOB))] };
/// Query of `GET /queue`.
pub(super) const LIST: &[Field] = &[
    Field::optional("status", Kind::Text),
    Field::optional("type", Kind::Text),
    Field::optional("service", Kind::Text),
    Field::optional("cursor", Kind::Text),
    Field::defaults("limit", Kind::Integer { min: Some(1), max: Some(1_000) }, "100"),
    Field::optional("sort", Kind::Text),
    Field::defaults("explain", Kind::Flag, "false"),
];
/// Query of `GET /queue/{job_id}`.
pub(super) const JOB_GET: &[Field] = &[Field::defaults("wait_s", Kind::Integer { min: Some(0), max: Some(50) }, "0")];
/// Query of `DELETE /queue/{job_id}`.
pub(super) const CANCEL: &[Field] = &[Field::defaults("running", Kind::Flag, "false")];
/// Body of `PUT /queue/{job_id}/priority`.
pub(super) const PRIORITY: BodyKind =
    BodyKind::Document { name: "ChangePriority", fields: &[Field::required("priority", I32)] };
/// Body of `POST /queue/{job_id}/progress`: any object.
pub(super) const PROGRESS: BodyKind =
    BodyKind::Document { name: "ReportProgress", fields: &[Field::optional("snapshot", Kind::Any)] };
/// Query of `POST /queue/{job_id}/progress`.
pub(super) const ATTEMPT: &[Field] =
    &[Field::optional("attempt", Kind::Integer { min: Some(1), max: Some(u32::MAX as i64) })];
/// Query of the event streams.
pub(super) const EVENTS: &[Field] = &[Field::optional("after", Kind::Text), HEARTBEAT[0]];
/// Query of the stream of reports.
pub(super) const HEARTBEAT: &[Field] =
    &[Field::defaults("heartbeat_s", Kind::Number { above: 0.1, max: 60.0 }, "15.0")];
/// Body of `POST /preempt/execute`.
pub(super) const PREEMPT: BodyKind = BodyKind::Document {
    name: "ExecutePreemption",
    fields: &[Field::optional("service_name", Kind::Text), Field::optional("preemptor_job_id", Kind::Text)],
};
/// Query of `GET /available/{service_type}`; taken and without effect, as in the contract.
pub(super) const AVAILABLE: &[Field] = &[Field::optional("mode", Kind::Text)];
