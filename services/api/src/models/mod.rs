//! Backends and models of model traffic: stored, changed and removed over the API. Every proxy on the broker follows at
//! once; what a proxy's own settings name goes first there.

mod change;
mod fields;
mod routes;
mod table;
mod view;

use crate::operation::Operation;
use futures::FutureExt;
use http::Method;

macro_rules! handler {
    ($path:path) => {
        |api, input| $path(api, input).boxed()
    };
}

const CONDITIONS: &[&str] = &["If-Match", "If-None-Match"];

/// Every operation on backends and models.
pub(crate) fn operations() -> Vec<Operation> {
    [backends(), models()].concat()
}

fn backends() -> Vec<Operation> {
    const ALL: &str = "/api/gateway/backends";
    const ONE: &str = "/api/gateway/backends/{name}";
    vec![
        Operation::new(Method::GET, ALL, "list_backends", "Model servers", handler!(routes::list_backends)),
        Operation::new(
            Method::GET,
            ONE,
            "get_backend",
            "A model server, and how it stands at each proxy",
            handler!(routes::get_backend),
        ),
        Operation::new(Method::PUT, ONE, "put_backend", "Store a model server", handler!(routes::put_backend))
            .headers(CONDITIONS)
            .body(fields::PUT_BACKEND),
        Operation::new(Method::PATCH, ONE, "update_backend", "Change a model server", handler!(routes::patch_backend))
            .headers(CONDITIONS)
            .body(fields::PATCH_BACKEND),
        Operation::new(
            Method::DELETE,
            ONE,
            "remove_backend",
            "Remove a model server that no stored model names",
            handler!(routes::delete_backend),
        )
        .headers(CONDITIONS),
    ]
}

fn models() -> Vec<Operation> {
    const ALL: &str = "/api/gateway/models";
    const ONE: &str = "/api/gateway/models/{name}";
    vec![
        Operation::new(Method::GET, ALL, "list_model_entries", "Models with an entry", handler!(routes::list_models)),
        Operation::new(
            Method::GET,
            ONE,
            "get_model_entry",
            "A model's entry, and how it stands at each proxy",
            handler!(routes::get_model),
        ),
        Operation::new(Method::PUT, ONE, "put_model_entry", "Store a model", handler!(routes::put_model))
            .headers(CONDITIONS)
            .body(fields::MODEL),
        Operation::new(Method::PATCH, ONE, "update_model_entry", "Change a model", handler!(routes::patch_model))
            .headers(CONDITIONS)
            .body(fields::PATCH_MODEL),
        Operation::new(Method::DELETE, ONE, "remove_model_entry", "Remove a model", handler!(routes::delete_model))
            .headers(CONDITIONS),
    ]
}
