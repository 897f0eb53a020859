//! The table of operations.

use super::{fields, identity};
use crate::operation::Operation;
use futures::FutureExt;
use http::Method;

/// Every operation of the surface.
pub fn operations() -> Vec<Operation> {
    service()
}

macro_rules! handler {
    ($path:path) => {
        |api, input| $path(api, input).boxed()
    };
}

fn service() -> Vec<Operation> {
    vec![
        Operation::new(
            Method::GET,
            "/api/health",
            "health",
            "Whether the process answers",
            handler!(identity::health),
        ),
        Operation::new(
            Method::GET,
            "/api/gateway/ping",
            "ping",
            "Whether the process answers this token",
            handler!(identity::ping),
        ),
        Operation::new(
            Method::GET,
            "/api/gateway/me",
            "me",
            "Who the caller is",
            handler!(identity::me),
        ),
        Operation::new(
            Method::GET,
            "/api/gateway/audit/tail",
            "audit_tail",
            "The end of the audit log",
            handler!(identity::audit_tail),
        )
        .query(fields::AUDIT_TAIL),
    ]
}
