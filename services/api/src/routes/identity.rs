//! Health, identity and the audit log: routes that need nothing but this process.

use crate::error::ok;
use crate::input::Input;
use crate::security::{audit_path, read_tail};
use crate::{Api, ApiError};
use axum::response::Response;
use domain::Time;
use serde_json::json;

/// `GET /api/health`
pub(super) async fn health(_: Api, _: Input) -> Result<Response, ApiError> {
    Ok(ok(&json!({"status": "healthy", "service": "abstractgateway"})))
}

/// `GET /api/gateway/ping`
pub(super) async fn ping(_: Api, _: Input) -> Result<Response, ApiError> {
    let time: Time = jiff::Timestamp::now().into();
    Ok(ok(&json!({"ok": true, "status": "healthy", "service": "abstractgateway", "time": time})))
}

/// `GET /api/gateway/me`
pub(super) async fn me(_: Api, input: Input) -> Result<Response, ApiError> {
    Ok(ok(&json!({
        "ok": true,
        "principal": input.principal,
        "auth": {"mode": "legacy-token", "user_auth_enabled": false},
        "routing": {"mode": "single-user", "one_user_one_runtime": false},
    })))
}

/// `GET /api/gateway/audit/tail`
pub(super) async fn audit_tail(api: Api, input: Input) -> Result<Response, ApiError> {
    let path = audit_path(&api.config.data_dir);
    let tail = read_tail(&path, input.count("max_bytes")).await.map_err(|problem| {
        ApiError::unavailable(format!("the audit log {} cannot be read: {problem}", path.display()))
    })?;
    Ok(ok(&json!({"ok": true, "bytes": tail.bytes, "truncated": tail.truncated, "content": tail.content})))
}
