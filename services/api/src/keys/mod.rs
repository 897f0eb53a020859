//! API keys of model traffic: made, listed, shown, changed and revoked. Every proxy on the broker follows at once.

mod change;
mod fields;
mod routes;
mod view;

use crate::operation::Operation;
use futures::FutureExt;
use http::Method;

macro_rules! handler {
    ($path:path) => {
        |api, input| $path(api, input).boxed()
    };
}

/// Every operation on keys.
pub(crate) fn operations() -> Vec<Operation> {
    const ALL: &str = "/api/gateway/keys";
    const ONE: &str = "/api/gateway/keys/{name}";
    vec![
        Operation::new(Method::POST, ALL, "create_key", "Make an API key; it is shown once", handler!(routes::create))
            .body(fields::CREATE),
        Operation::new(Method::GET, ALL, "list_keys", "API keys, revoked ones on demand", handler!(routes::list))
            .query(fields::LIST),
        Operation::new(Method::GET, ONE, "get_key", "An API key and what it has used", handler!(routes::get)),
        Operation::new(Method::PATCH, ONE, "update_key", "Change what an API key may", handler!(routes::update))
            .body(fields::UPDATE),
        Operation::new(Method::DELETE, ONE, "revoke_key", "Revoke an API key for ever", handler!(routes::revoke)),
    ]
}
