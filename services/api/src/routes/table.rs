//! The table of operations.

use super::{
    bundles, commands, deprecation, fields, history, identity, ledger, notices, purge, runs, schedule, start, workflows,
};
use crate::control;
use crate::keys;
use crate::models;
use crate::operation::{Handler, Operation};
use crate::stream::EVENTS;
use futures::FutureExt;
use http::Method;

/// Every operation of the surface.
pub fn operations() -> Vec<Operation> {
    [
        service(),
        bundle_reading(),
        bundle_writing(),
        run_writing(),
        run_reading(),
        ledgers(),
        command_log(),
        undelivered(),
        control::operations(),
        keys::operations(),
        models::operations(),
    ]
    .concat()
}

macro_rules! handler {
    ($path:path) => {
        |api, input| $path(api, input).boxed()
    };
}

fn get(path: &'static str, id: &'static str, summary: &'static str, handler: Handler) -> Operation {
    Operation::new(Method::GET, path, id, summary, handler)
}

fn post(path: &'static str, id: &'static str, summary: &'static str, handler: Handler) -> Operation {
    Operation::new(Method::POST, path, id, summary, handler)
}

fn service() -> Vec<Operation> {
    vec![
        get("/api/health", "health", "Whether the process answers", handler!(identity::health)),
        get("/api/gateway/ping", "ping", "Whether the process answers this token", handler!(identity::ping)),
        get("/api/gateway/me", "me", "Who the caller is", handler!(identity::me)),
        get("/api/gateway/audit/tail", "audit_tail", "The end of the audit log", handler!(identity::audit_tail))
            .query(fields::AUDIT_TAIL),
    ]
}

fn bundle_reading() -> Vec<Operation> {
    vec![
        get("/api/gateway/bundles", "list_bundles", "Installed bundles", handler!(bundles::list))
            .query(fields::BUNDLE_LIST),
        get("/api/gateway/bundles/{bundle_id}", "get_bundle", "A bundle with its inputs", handler!(bundles::get))
            .query(fields::BUNDLE_VERSION),
        get(
            "/api/gateway/bundles/{bundle_id}/flows/{flow_id}",
            "get_bundle_flow",
            "A flow of a bundle",
            handler!(bundles::flow),
        )
        .query(fields::BUNDLE_VERSION),
        get(
            "/api/gateway/bundles/{bundle_id}/flows/{flow_id}/input_schema",
            "get_bundle_flow_input_schema",
            "What a flow asks for",
            handler!(bundles::inputs),
        )
        .query(fields::BUNDLE_VERSION),
        get(
            "/api/gateway/workflows/{workflow_id}/flow",
            "get_workflow_flow",
            "The flow of a workflow, schedules included",
            handler!(workflows::flow),
        ),
    ]
}

fn bundle_writing() -> Vec<Operation> {
    vec![
        post("/api/gateway/bundles/upload", "upload_bundle", "Install a bundle", handler!(bundles::upload))
            .body(fields::BUNDLE_UPLOAD),
        post("/api/gateway/bundles/reload", "reload_bundles", "Scan the flows directory", handler!(bundles::reload)),
        Operation::new(
            Method::DELETE,
            "/api/gateway/bundles/{bundle_id}",
            "remove_bundle",
            "Remove a bundle, or one of its versions",
            handler!(bundles::remove),
        )
        .query(fields::BUNDLE_DELETE),
        post(
            "/api/gateway/bundles/{bundle_id}/deprecate",
            "deprecate_bundle",
            "Mark an entrypoint as not to be started",
            handler!(deprecation::deprecate),
        )
        .body(fields::DEPRECATE),
        post(
            "/api/gateway/bundles/{bundle_id}/undeprecate",
            "undeprecate_bundle",
            "Take such a mark back",
            handler!(deprecation::undeprecate),
        )
        .body(fields::DEPRECATE),
    ]
}

fn run_writing() -> Vec<Operation> {
    vec![
        post("/api/gateway/runs/start", "start_run", "Start a run", handler!(start::start))
            .body(fields::START)
            .headers(&["Idempotency-Key"]),
        post("/api/gateway/runs/schedule", "schedule_run", "Start runs later or again", handler!(schedule::schedule))
            .body(fields::SCHEDULE)
            .headers(&["Idempotency-Key"]),
        post("/api/gateway/runs/purge_drafts", "purge_drafts", "Remove expired draft runs", handler!(purge::purge))
            .body(fields::PURGE),
    ]
}

fn run_reading() -> Vec<Operation> {
    vec![
        get("/api/gateway/runs", "list_runs", "Runs, newest change first", handler!(runs::list))
            .query(fields::RUN_LIST),
        get("/api/gateway/runs/{run_id}", "get_run", "A run", handler!(runs::get)),
        get(
            "/api/gateway/runs/{run_id}/input_data",
            "get_run_input_data",
            "What a run was started with",
            handler!(runs::input_data),
        ),
        get(
            "/api/gateway/runs/{run_id}/history_bundle",
            "get_run_history_bundle",
            "Everything that is kept of a run",
            handler!(history::bundle),
        )
        .query(fields::HISTORY),
    ]
}

fn ledgers() -> Vec<Operation> {
    vec![
        get("/api/gateway/runs/{run_id}/ledger", "get_ledger", "Records after a cursor", handler!(ledger::page))
            .query(fields::LEDGER),
        post("/api/gateway/runs/ledger/batch", "get_ledgers", "Records of several runs", handler!(ledger::batch))
            .body(fields::LEDGER_BATCH),
        get(
            "/api/gateway/runs/{run_id}/ledger/stream",
            "stream_ledger",
            "Records as server-sent events",
            handler!(ledger::stream),
        )
        .query(fields::LEDGER_STREAM)
        .headers(&["Last-Event-ID"])
        .tells(EVENTS)
        .produces("text/event-stream"),
    ]
}

fn command_log() -> Vec<Operation> {
    vec![
        post("/api/gateway/commands", "submit_command", "Send a command to a run", handler!(commands::submit))
            .body(fields::COMMAND),
        get(
            "/api/gateway/commands/{command_id}",
            "get_command",
            "What became of a command",
            handler!(commands::outcome),
        )
        .query(fields::COMMAND_GET),
    ]
}

fn undelivered() -> Vec<Operation> {
    let letter = "/api/gateway/notices/dead-letters/{letter_id}";
    vec![
        get(
            "/api/gateway/notices/dead-letters",
            "list_dead_letters",
            "Pushes, webhooks and callbacks that were given up, oldest first",
            handler!(notices::list),
        )
        .query(fields::DEAD_LETTERS),
        get(letter, "get_dead_letter", "One of them with all that it carries", handler!(notices::get)),
        post(
            "/api/gateway/notices/dead-letters/{letter_id}/replay",
            "replay_dead_letter",
            "Send it again from its first attempt",
            handler!(notices::replay),
        ),
        Operation::new(Method::DELETE, letter, "discard_dead_letter", "Throw it away", handler!(notices::discard)),
        get(
            "/api/gateway/notices/disabled",
            "list_disabled_channels",
            "Channels whose target said that it wants nothing more",
            handler!(notices::disabled),
        ),
        post(
            "/api/gateway/notices/disabled/{channel}/enable",
            "enable_channel",
            "Send through a channel again",
            handler!(notices::enable),
        ),
        post("/api/gateway/notices/test", "test_notices", "Tell every channel something", handler!(notices::test))
            .body(fields::TEST_NOTICE),
    ]
}
