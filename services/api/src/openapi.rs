//! The OpenAPI 3.1 document, written from the table of operations.

use crate::control::{SHAPES, TOLD};
use crate::input::{Field, object_schema};
use crate::operation::{BodyKind, Operation};
use crate::security::guarded;
use crate::shapes::described;
use crate::stream::STEPS;
use domain::Object;
use serde_json::{Value, json};

/// The document of these operations.
pub fn document(operations: &[Operation]) -> Value {
    let mut paths = Object::new();
    let mut schemas = error_schemas();
    for operation in operations {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_ascii_lowercase()] = describe(operation);
        if let Some((name, schema)) = body_schema(operation.body) {
            schemas.insert(name.to_owned(), schema);
        }
    }
    for body in ["RegisterService", "UpdateService"] {
        if let Some(taken) = schemas.get_mut(body).and_then(|body| body.pointer_mut("/properties/definition")) {
            *taken = described("ServiceDefinition?");
        }
    }
    let shapes = SHAPES.iter().chain(TOLD).chain(STEPS);
    schemas.extend(shapes.map(|shape| (shape.name.to_owned(), shape.schema())));
    json!({
        "openapi": "3.1.0",
        "info": {"title": "AbstractGateway", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"gatewayBearerAuth": {"type": "http", "scheme": "bearer"}},
        },
    })
}

fn describe(operation: &Operation) -> Value {
    let mut parameters: Vec<Value> = path_names(operation.path)
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    parameters.extend(operation.query.iter().map(query_parameter));
    parameters.extend(
        operation
            .headers
            .iter()
            .map(|name| json!({"name": name, "in": "header", "required": false, "schema": {"type": "string"}})),
    );
    let checked = !parameters.is_empty() || operation.body != BodyKind::None;
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses(operation, checked),
    });
    if let Some(body) = request_body(operation.body) {
        described["requestBody"] = body;
    }
    if guarded(operation.path) {
        described["security"] = json!([{"gatewayBearerAuth": []}]);
    }
    described
}

fn responses(operation: &Operation, checked: bool) -> Value {
    let schema = match operation.answer {
        Some(answer) => described(answer),
        None if operation.events.is_empty() => json!({}),
        None => events_schema(operation.events),
    };
    let mut responses = json!({"200": {"description": "OK", "content": {operation.produces: {"schema": schema}}}});
    if checked {
        let schema = json!({"$ref": "#/components/schemas/HTTPValidationError"});
        responses["422"] =
            json!({"description": "Validation error", "content": {"application/json": {"schema": schema}}});
    }
    responses
}

/// A text of server-sent events. OpenAPI has no word for what they carry, so it is told by their names.
fn events_schema(events: &[(&str, &str)]) -> Value {
    let each: Object = events.iter().map(|(name, holds)| ((*name).to_owned(), described(holds))).collect();
    json!({
        "type": "string",
        "description": "Server-sent events. `x-events` gives the schema of the JSON in the data of each, by its name.",
        "x-events": each,
    })
}

fn query_parameter(field: &Field) -> Value {
    json!({"name": field.name, "in": "query", "required": field.required, "schema": field.schema()})
}

fn path_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{').and_then(|part| part.strip_suffix('}')))
}

fn body_schema(body: BodyKind) -> Option<(&'static str, Value)> {
    match body {
        BodyKind::None => None,
        BodyKind::Json { name, fields, closed } => Some((name, object_schema(fields, closed))),
        BodyKind::Document { name, fields } | BodyKind::Form { name, fields } => {
            Some((name, object_schema(fields, false)))
        }
    }
}

fn request_body(body: BodyKind) -> Option<Value> {
    let (media_type, name) = match body {
        BodyKind::None => return None,
        BodyKind::Json { name, .. } | BodyKind::Document { name, .. } => ("application/json", name),
        BodyKind::Form { name, .. } => ("multipart/form-data", name),
    };
    let schema = json!({"$ref": format!("#/components/schemas/{name}")});
    Some(json!({"required": true, "content": {media_type: {"schema": schema}}}))
}

fn error_schemas() -> Object {
    let place = json!({"anyOf": [{"type": "string"}, {"type": "integer"}]});
    let item = json!({
        "type": "object",
        "properties": {
            "loc": {"type": "array", "items": place},
            "msg": {"type": "string"},
            "type": {"type": "string"},
            "input": {},
            "ctx": {"type": "object"},
        },
        "required": ["loc", "msg", "type"],
    });
    let items = json!({"type": "array", "items": {"$ref": "#/components/schemas/ValidationError"}});
    let whole = json!({"type": "object", "properties": {"detail": items}});
    [("HTTPValidationError".to_owned(), whole), ("ValidationError".to_owned(), item)].into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::operations;
    use std::collections::BTreeSet;

    #[test]
    fn every_served_route_is_described_with_its_parameters_and_bounds() {
        let operations = operations();
        let document = document(&operations);
        for operation in &operations {
            let described = &document["paths"][operation.path][operation.method.as_str().to_ascii_lowercase()];
            assert_eq!(described["operationId"], operation.id);
            let parameters = described["parameters"].as_array().unwrap();
            for field in operation.query {
                let found = parameters.iter().find(|parameter| parameter["name"] == field.name).unwrap();
                assert_eq!(found["schema"], field.schema(), "{} {}", operation.id, field.name);
            }
            assert_eq!(operation.path.matches('{').count(), parameters.iter().filter(|p| p["in"] == "path").count());
            let secured = described["security"] == json!([{"gatewayBearerAuth": []}]);
            let open = ["/health", "/api/health"].contains(&operation.path);
            assert_eq!(secured, !open, "{}", operation.path);
        }
        let ids: BTreeSet<_> = operations.iter().map(|operation| operation.id).collect();
        assert_eq!(ids.len(), operations.len(), "operation ids are unique");
    }

    #[test]
    fn every_answer_of_the_control_plane_has_a_schema_and_every_schema_is_there() {
        let document = document(&operations());
        for operation in crate::control::operations() {
            assert_eq!(operation.answer.is_some(), operation.produces == "application/json", "{}", operation.id);
        }
        for operation in operations() {
            assert_eq!(!operation.events.is_empty(), operation.produces == "text/event-stream", "{}", operation.id);
        }
        let (text, mut referred) = (document.to_string(), 0);
        for rest in text.split("#/components/schemas/").skip(1) {
            let name = rest.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
            referred += 1;
        }
        assert!(referred > 40, "{referred}");
    }

    #[test]
    fn bounds_of_the_contract_are_the_ones_described() {
        let document = document(&operations());
        let parameter = |path: &str, name: &str| {
            let list = document["paths"][path]["get"]["parameters"].as_array().cloned().unwrap();
            list.into_iter().find(|parameter| parameter["name"] == name).unwrap()["schema"].clone()
        };
        assert_eq!(
            parameter("/api/gateway/runs/{run_id}/ledger", "limit"),
            json!({"type": "integer", "minimum": 1, "maximum": 2000, "default": 200})
        );
        assert_eq!(
            parameter("/api/gateway/runs/{run_id}/ledger/stream", "heartbeat_s"),
            json!({"type": "number", "exclusiveMinimum": 0.1, "maximum": 60.0, "default": 5.0})
        );
        assert_eq!(parameter("/api/gateway/runs", "status"), json!({"anyOf": [{"type": "string"}, {"type": "null"}]}));
        let start = &document["components"]["schemas"]["StartRunRequest"];
        assert_eq!(start["properties"]["input_data"]["type"], "object");
        assert_eq!(document["components"]["schemas"]["PurgeDraftRunsRequest"]["additionalProperties"], false);
        assert_eq!(document["info"]["title"], "AbstractGateway");
    }
}
