//! The paths of the proxy in an OpenAPI 3.1 document, written from the table of routes.
//!
//! Bodies and answers are those of OpenAI and Anthropic and go through untouched, so of them only what the proxy itself
//! reads is described; their own documents tell the rest.

use crate::routing::Route;
use domain::deferred::DeferredStatus;
use serde_json::{Value, json};

/// A document of nothing but the proxy.
pub(crate) fn document() -> Value {
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {"title": "Gantry model proxy", "version": env!("CARGO_PKG_VERSION")},
        "paths": {},
        "components": {"schemas": {}, "securitySchemes": {}},
    });
    describe(&mut document);
    document
}

/// Adds the paths under `/v1` to a document, with the schemas and the keys that they name.
pub fn describe(document: &mut Value) {
    let components = &mut document["components"];
    components["securitySchemes"]["modelKey"] = json!({
        "type": "http", "scheme": "bearer",
        "description": "An API key. Without any key configured only this machine may call.",
    });
    components["securitySchemes"]["modelKeyHeader"] = json!({"type": "apiKey", "in": "header", "name": "x-api-key"});
    components["schemas"]["ModelRequest"] = json!({
        "type": "object",
        "properties": {
            "model": {"type": "string", "description": "A name of /v1/models; left out, the configured default."},
            "stream": {"type": "boolean", "default": false},
        },
        "additionalProperties": true,
    });
    components["schemas"]["ModelError"] = error_schema();
    components["schemas"]["AnthropicError"] = anthropic_error_schema();
    components["schemas"]["Model"] = model_schema();
    components["schemas"]["DeferredJob"] = job_schema();
    let paths = &mut document["paths"];
    for route in Route::ALL {
        paths[route.path()] = json!({"post": inference(route)});
    }
    for (path, method, id, summary, answer) in READS {
        paths[*path][*method] = read(path, id, summary, answer);
    }
}

/// What is no inference: path, method, name, what it does, its answer's schema (none for events).
const READS: &[(&str, &str, &str, &str, Option<&str>)] = &[
    (
        "/v1/models",
        "get",
        "list_models",
        "Every model that the caller may use, and where it stands.",
        Some("list:Model"),
    ),
    ("/v1/models/{model}", "get", "get_model", "One of them.", Some("Model")),
    (
        "/v1/jobs",
        "get",
        "list_deferred_jobs",
        "The caller's requests that became jobs, newest first.",
        Some("list:DeferredJob"),
    ),
    (
        "/v1/jobs/{id}",
        "get",
        "get_deferred_job",
        "One of them, with its answer once it has ended.",
        Some("DeferredJob"),
    ),
    (
        "/v1/jobs/{id}",
        "delete",
        "cancel_deferred_job",
        "Takes it back; one under way is broken off.",
        Some("DeferredJob"),
    ),
    ("/v1/jobs/{id}/cancel", "post", "cancel_deferred_job_by_post", "The same.", Some("DeferredJob")),
    (
        "/v1/jobs/{id}/result",
        "get",
        "get_deferred_result",
        "Its answer as the model server gave it: status, content type and bytes; 409 while there is none.",
        None,
    ),
    ("/v1/jobs/{id}/events", "get", "follow_deferred_job", "Each change as an event, the answer with the last.", None),
];

fn inference(route: Route) -> Value {
    let is_form = route == Route::Transcriptions;
    let media = if is_form { "multipart/form-data" } else { "application/json" };
    let body = json!({"required": true, "content": {media: {"schema": reference("ModelRequest")}}});
    let answer = match route {
        Route::Speech => json!({"audio/*": {}}),
        Route::Chat | Route::Completions | Route::Messages | Route::Responses => {
            json!({"application/json": {"schema": {"type": "object"}}, "text/event-stream": {"schema": {"type": "string"}}})
        }
        Route::Embeddings | Route::CountTokens | Route::Rerank | Route::Transcriptions | Route::Images => {
            json!({"application/json": {"schema": {"type": "object"}}})
        }
    };
    let error = if route.is_anthropic() { "AnthropicError" } else { "ModelError" };
    let mut responses = failures(error);
    responses["200"] = json!({"description": "The model server's answer", "content": answer});
    let mut parameters = vec![header("x-request-id", "Told back, and written into the log.")];
    if route.can_wait() {
        responses["202"] = json!({
            "description": "Accepted as a job, because it cannot be served now and its client said `respond-async`",
            "content": {"application/json": {"schema": reference("DeferredJob")}},
        });
        parameters.extend([
            header("Prefer", "`respond-async`, with `wait=SECONDS` if it may wait that long for a place."),
            header("Idempotency-Key", "With `Prefer`: the same key of the same caller is the same job."),
            header("Gantry-Callback", "With `Prefer`: where the job's end is posted."),
        ]);
    }
    json!({
        "operationId": format!("model_{}", route.path().trim_start_matches("/v1/").replace('/', "_")),
        "summary": format!("Relayed to the server of the named model: {}.", route.operation().replace('_', " ")),
        "parameters": parameters, "requestBody": body, "responses": responses, "security": security(),
    })
}

fn read(path: &str, id: &str, summary: &str, answer: &Option<&str>) -> Value {
    let content = match answer.map(|name| name.strip_prefix("list:").ok_or(name)) {
        None => json!({"text/event-stream": {"schema": {
            "type": "string",
            "description": "Server-sent events. `x-events` gives the schema of the JSON in the data of each, by its name.",
            "x-events": DeferredStatus::ALL
                .iter()
                .map(|status| (status.as_str().to_owned(), reference("DeferredJob")))
                .collect::<serde_json::Map<_, _>>(),
        }}}),
        Some(Err(name)) => json!({"application/json": {"schema": reference(name)}}),
        Some(Ok(name)) => {
            let list = json!({
                "type": "object",
                "properties": {
                    "object": {"const": "list"}, "data": {"type": "array", "items": reference(name)},
                },
                "required": ["object", "data"],
            });
            json!({"application/json": {"schema": list}})
        }
    };
    let mut responses = failures("ModelError");
    responses["200"] = json!({"description": "OK", "content": content});
    let named = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> =
        named.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})).collect();
    if id == "list_deferred_jobs" {
        let query =
            |name: &str, schema: Value| json!({"name": name, "in": "query", "required": false, "schema": schema});
        parameters.push(query("limit", json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 20})));
        parameters.push(query("after", json!({"type": "string", "description": "the last id of the page before"})));
        parameters.push(query("status", json!({"enum": DeferredStatus::ALL.map(DeferredStatus::as_str)})));
    }
    json!({
        "operationId": id, "summary": summary, "parameters": parameters, "responses": responses, "security": security(),
    })
}

fn header(name: &str, description: &str) -> Value {
    json!({"name": name, "in": "header", "required": false, "description": description, "schema": {"type": "string"}})
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn security() -> Value {
    json!([{"modelKey": []}, {"modelKeyHeader": []}])
}

fn failures(schema: &str) -> Value {
    let of = |description: &str| json!({"description": description, "content": {"application/json": {"schema": reference(schema)}}});
    json!({
        "4XX": of("The request, its key or its limits; with 429 `retry-after` says when to come back"),
        "501": of("No server of this model can do that; `x-should-retry: false`"),
        "5XX": of("No server answers, none has room, or the answer broke off"),
    })
}

fn error_schema() -> Value {
    let text = json!({"type": ["string", "null"]});
    let members = json!({"message": {"type": "string"}, "type": {"type": "string"}, "param": text, "code": text});
    let error = json!({"type": "object", "properties": members, "required": ["message", "type", "param", "code"]});
    json!({"type": "object", "properties": {"error": error}, "required": ["error"]})
}

fn anthropic_error_schema() -> Value {
    let members = json!({"type": {"type": "string"}, "message": {"type": "string"}});
    let error = json!({"type": "object", "properties": members, "required": ["type", "message"]});
    json!({
        "type": "object",
        "properties": {"type": {"const": "error"}, "error": error, "request_id": {"type": "string"}},
        "required": ["type", "error"],
    })
}

fn model_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "object": {"const": "model"},
            "state": {"enum": ["loaded", "loadable", "unreachable"]},
            "backends": {"type": "array", "items": {"type": "string"}, "description": "Backends and services that have it."},
            "alias_of": {"type": "string", "description": "The model that this is another name of."},
        },
        "required": ["id", "object", "state"],
        "additionalProperties": true,
    })
}

fn job_schema() -> Value {
    let seconds = json!({"type": ["integer", "null"], "description": "seconds since 1970"});
    json!({
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "object": {"const": "job"},
            "status": {"enum": DeferredStatus::ALL.map(DeferredStatus::as_str)},
            "model": {"type": "string"},
            "endpoint": {"type": "string"},
            "attempt": {"type": "integer"},
            "position": {"type": ["integer", "null"]},
            "created_at": seconds, "expires_at": seconds, "started_at": seconds, "ended_at": seconds,
            "status_code": {"type": ["integer", "null"]},
            "response": {
                "type": ["object", "null"],
                "properties": {
                    "status_code": {"type": "integer"},
                    "headers": {"type": "object"},
                    "body_encoding": {"enum": ["json", "text", "base64", null]},
                    "body": {},
                },
            },
        },
        "required": ["id", "object", "status", "model", "attempt", "created_at"],
        "additionalProperties": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_that_is_referred_to_is_there_and_no_operation_is_named_twice() {
        let document = document();
        let text = document.to_string();
        for rest in text.split("#/components/schemas/").skip(1) {
            let name = rest.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
        let operations =
            document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
        let ids: Vec<&str> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
        assert_eq!(ids.len(), Route::ALL.len() + READS.len());
    }
}
