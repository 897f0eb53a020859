//! The lifecycle a client may give a run, cut down to what the contract keeps, and when a draft run may go.

use domain::{Object, RunStatus, Time};
use serde_json::Value;
use std::time::Duration;

const TEXTS: [&str; 8] =
    ["source", "purpose", "visibility", "run_mode", "editor_session_id", "flow_id", "bundle_id", "bundle_version"];
const CHARACTERS: usize = 240;

/// What is kept of a client's lifecycle; nothing when nothing is left.
pub fn sanitised(given: &Object) -> Option<Value> {
    let mut kept = Object::new();
    for key in TEXTS {
        let text = given.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
        if let Some(text) = text {
            kept.insert(key.to_owned(), text.chars().take(CHARACTERS).collect::<String>().into());
        }
    }
    let retention = given.get("retention").and_then(Value::as_object).map(retention).unwrap_or_default();
    if !retention.is_empty() {
        kept.insert("retention".to_owned(), Value::Object(retention));
    }
    (!kept.is_empty()).then_some(Value::Object(kept))
}

fn retention(given: &Object) -> Object {
    let mut kept = Object::new();
    for key in ["mode", "expires_at"] {
        if let Some(text) = given.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()) {
            kept.insert(key.to_owned(), text.chars().take(CHARACTERS).collect::<String>().into());
        }
    }
    if let Some(seconds) = given.get("ttl_s").filter(|value| value.as_f64().is_some_and(|seconds| seconds > 0.0)) {
        kept.insert("ttl_s".to_owned(), seconds.clone());
    }
    kept
}

/// Whether a run is a test of a draft.
pub fn is_draft(lifecycle: Option<&Value>) -> bool {
    lifecycle.is_some_and(|lifecycle| lifecycle["purpose"] == "draft_test")
}

/// Why a run is kept, if it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is no draft test, or not an ephemeral one.
    NotEphemeral,
    /// It has not ended.
    Active,
    /// Its time has not come.
    NotExpired,
    /// Its time cannot be told.
    NoExpiration,
}

impl Kept {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotEphemeral => "not_ephemeral_draft",
            Self::Active => "active_run",
            Self::NotExpired => "not_expired",
            Self::NoExpiration => "no_effective_expiration",
        }
    }
}

/// What decides over a run's removal.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Now.
    pub now: Time,
    /// Kept this long when the run does not say.
    pub default_ttl: Duration,
    /// Whether expiry is ignored.
    pub force: bool,
    /// Whether runs that have not ended go too.
    pub include_active: bool,
}

/// When an ephemeral draft run expires.
pub fn expires_at(lifecycle: &Value, updated_at: Time, default_ttl: Duration) -> Option<Time> {
    let retention = &lifecycle["retention"];
    if let Some(text) = retention["expires_at"].as_str() {
        return text.parse().ok();
    }
    let seconds = retention["ttl_s"].as_f64().filter(|seconds| *seconds > 0.0).unwrap_or(default_ttl.as_secs_f64());
    #[expect(clippy::cast_possible_truncation, reason = "a float to integer cast saturates, and so does the sum")]
    Some(updated_at.plus_micros((seconds * 1e6) as i64))
}

/// Whether a root run may be removed.
pub fn removable(lifecycle: Option<&Value>, status: RunStatus, updated_at: Time, policy: &Policy) -> Result<(), Kept> {
    let lifecycle = lifecycle
        .filter(|lifecycle| is_draft(Some(lifecycle)) && lifecycle["retention"]["mode"] == "ephemeral")
        .ok_or(Kept::NotEphemeral)?;
    if !status.is_terminal() && !policy.include_active {
        return Err(Kept::Active);
    }
    if policy.force {
        return Ok(());
    }
    let expiry = expires_at(lifecycle, updated_at, policy.default_ttl).ok_or(Kept::NoExpiration)?;
    if expiry <= policy.now { Ok(()) } else { Err(Kept::NotExpired) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_known_keys_are_kept_and_cut() {
        let given = json!({"purpose": " draft_test ", "evil": 1, "source": 5, "flow_id": "x".repeat(500),
            "retention": {"mode": "ephemeral", "ttl_s": -1, "expires_at": ""}});
        let kept = sanitised(given.as_object().unwrap()).unwrap();
        assert_eq!(kept["purpose"], "draft_test");
        assert_eq!(kept["flow_id"].as_str().map(str::len), Some(240));
        assert_eq!(kept["retention"], json!({"mode": "ephemeral"}));
        assert_eq!(kept.as_object().map(Object::len), Some(3));
        assert_eq!(sanitised(&Object::new()), None);
    }

    #[test]
    fn only_expired_ephemeral_drafts_that_have_ended_go() {
        let at = |text: &str| text.parse::<Time>().unwrap();
        let updated = at("2026-01-01");
        let policy = |now: &str| Policy {
            now: at(now),
            default_ttl: Duration::from_secs(60),
            force: false,
            include_active: false,
        };
        let draft = json!({"purpose": "draft_test", "retention": {"mode": "ephemeral", "ttl_s": 3_600}});
        let done = RunStatus::Completed;
        assert_eq!(removable(Some(&draft), done, updated, &policy("2026-01-01T00:59:59")), Err(Kept::NotExpired));
        assert_eq!(removable(Some(&draft), done, updated, &policy("2026-01-01T01:00:00")), Ok(()));
        assert_eq!(removable(Some(&draft), RunStatus::Waiting, updated, &policy("2027-01-01")), Err(Kept::Active));
        assert_eq!(removable(None, done, updated, &policy("2027-01-01")), Err(Kept::NotEphemeral));
        let odd = json!({"purpose": "draft_test", "retention": {"mode": "ephemeral", "expires_at": "soon"}});
        assert_eq!(removable(Some(&odd), done, updated, &policy("2027-01-01")), Err(Kept::NoExpiration));
    }
}
