//! The declared parameters and bodies of the contract.

use crate::input::{Field, Kind};
use crate::operation::BodyKind;

const fn whole(min: i64, max: i64) -> Kind {
    Kind::Integer { min: Some(min), max: Some(max) }
}

const AT_LEAST_ZERO: Kind = Kind::Integer { min: Some(0), max: None };
const ANY_WHOLE: Kind = Kind::Integer { min: None, max: None };

pub(super) const AUDIT_TAIL: &[Field] = &[Field::defaults("max_bytes", whole(1_024, 400_000), "80000")];

pub(super) const BUNDLE_LIST: &[Field] = &[
    Field::defaults("all_versions", Kind::Flag, "false"),
    Field::defaults("include_drafts", Kind::Flag, "false"),
    Field::defaults("include_deprecated", Kind::Flag, "false"),
];

pub(super) const BUNDLE_VERSION: &[Field] = &[Field::optional("bundle_version", Kind::Text)];

pub(super) const BUNDLE_DELETE: &[Field] =
    &[Field::optional("bundle_version", Kind::Text), Field::defaults("reload", Kind::Flag, "true")];

pub(super) const BUNDLE_UPLOAD: BodyKind = BodyKind::Form {
    name: "UploadBundleForm",
    fields: &[
        Field::required("file", Kind::File),
        Field::defaults("overwrite", Kind::Flag, "false"),
        Field::defaults("reload", Kind::Flag, "true"),
    ],
};

pub(super) const DEPRECATE: BodyKind = BodyKind::Json {
    name: "DeprecateWorkflowRequest",
    fields: &[Field::optional("flow_id", Kind::Text), Field::optional("reason", Kind::Text)],
    closed: false,
};

pub(super) const START: BodyKind = BodyKind::Json {
    name: "StartRunRequest",
    fields: &[
        Field::optional("registry_scope", Kind::Text),
        Field::optional("bundle_id", Kind::Text),
        Field::optional("bundle_version", Kind::Text),
        Field::optional("flow_id", Kind::Text),
        Field::defaults("input_data", Kind::Object, "{}"),
        Field::optional("thinking", Kind::FlagOrText),
        Field::optional("run_lifecycle", Kind::Object),
        Field::optional("session_id", Kind::Text),
    ],
    closed: false,
};

pub(super) const SCHEDULE: BodyKind = BodyKind::Json {
    name: "ScheduleRunRequest",
    fields: &[
        Field::optional("registry_scope", Kind::Text),
        Field::required("bundle_id", Kind::Text),
        Field::optional("bundle_version", Kind::Text),
        Field::required("flow_id", Kind::Text),
        Field::defaults("input_data", Kind::Object, "{}"),
        Field::optional("start_at", Kind::Text),
        Field::optional("interval", Kind::Text),
        Field::optional("repeat_count", ANY_WHOLE),
        Field::optional("repeat_until", Kind::Text),
        Field::defaults("share_context", Kind::Flag, "true"),
        Field::optional("session_id", Kind::Text),
    ],
    closed: false,
};

pub(super) const RUN_LIST: &[Field] = &[
    Field::defaults("limit", whole(1, 500), "50"),
    Field::optional("status", Kind::Text),
    Field::optional("workflow_id", Kind::Text),
    Field::optional("session_id", Kind::Text),
    Field::defaults("root_only", Kind::Flag, "false"),
    Field::defaults("include_ledger_len", Kind::Flag, "true"),
    Field::defaults("include_metrics", Kind::Flag, "false"),
    Field::defaults("include_drafts", Kind::Flag, "false"),
];

pub(super) const HISTORY: &[Field] = &[
    Field::defaults("include_subruns", Kind::Flag, "true"),
    Field::defaults("include_session", Kind::Flag, "false"),
    Field::defaults("session_turn_limit", whole(1, 500), "200"),
    Field::defaults("ledger_mode", Kind::Text, "\"tail\""),
    Field::defaults("ledger_max_items", whole(0, 20_000), "2000"),
];

pub(super) const PURGE: BodyKind = BodyKind::Json {
    name: "PurgeDraftRunsRequest",
    fields: &[
        Field::defaults("dry_run", Kind::Flag, "true"),
        Field::defaults("limit", whole(1, 5_000), "200"),
        Field::optional("session_id", Kind::Text),
        Field::optional("workflow_id", Kind::Text),
        Field::optional("run_ids", Kind::Texts),
        Field::defaults("force", Kind::Flag, "false"),
        Field::defaults("include_active", Kind::Flag, "false"),
        Field::defaults("delete_artifacts", Kind::Flag, "true"),
        Field::defaults("delete_workspaces", Kind::Flag, "true"),
    ],
    closed: true,
};

pub(super) const LEDGER: &[Field] =
    &[Field::defaults("after", AT_LEAST_ZERO, "0"), Field::defaults("limit", whole(1, 2_000), "200")];

pub(super) const LEDGER_BATCH: BodyKind = BodyKind::Json {
    name: "LedgerBatchRequest",
    fields: &[
        Field::defaults(
            "runs",
            Kind::List(&[Field::required("run_id", Kind::Text), Field::defaults("after", AT_LEAST_ZERO, "0")]),
            "[]",
        ),
        Field::defaults("limit", whole(1, 2_000), "200"),
    ],
    closed: false,
};

/// `after` has no default of its own here: only when it is absent does `Last-Event-ID` count.
pub(super) const LEDGER_STREAM: &[Field] = &[
    Field::optional("after", AT_LEAST_ZERO),
    Field::defaults("heartbeat_s", Kind::Number { above: 0.1, max: 60.0 }, "5.0"),
];

pub(super) const COMMAND: BodyKind = BodyKind::Json {
    name: "SubmitCommandRequest",
    fields: &[
        Field::required("command_id", Kind::Text),
        Field::required("run_id", Kind::Text),
        Field::required("type", Kind::Text),
        Field::defaults("payload", Kind::Object, "{}"),
        Field::optional("ts", Kind::Text),
        Field::optional("client_id", Kind::Text),
    ],
    closed: false,
};

pub(super) const COMMAND_GET: &[Field] = &[Field::defaults("wait_s", whole(0, 30), "0")];

pub(super) const DEAD_LETTERS: &[Field] = &[
    Field::defaults("limit", whole(1, 500), "100"),
    Field::optional("cursor", Kind::Text),
    Field::optional("channel", Kind::Text),
];

pub(super) const TEST_NOTICE: BodyKind =
    BodyKind::Json { name: "TestNoticeRequest", fields: &[Field::optional("text", Kind::Text)], closed: false };
