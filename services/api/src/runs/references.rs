//! Artifact references in what a client sends must lead somewhere.

use crate::{Api, ApiError};
use domain::Object;
use serde_json::Value;
use store::Values;

/// References of one request.
const MOST: usize = 64;

/// Refuses a reference to an artifact that is not stored.
pub async fn check_references(api: &Api, vars: &Object) -> Result<(), ApiError> {
    let mut ids = Vec::new();
    for value in vars.values() {
        collect(value, &mut ids);
    }
    if ids.len() > MOST {
        return Err(ApiError::bad_request(format!("input_data refers to more than {MOST} artifacts")));
    }
    let values = Values::new(&api.parts.bus);
    for id in ids {
        let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_id || values.get(id).await?.is_none() {
            return Err(ApiError::not_found(format!("Artifact '{id}' not found")));
        }
    }
    Ok(())
}

fn collect<'a>(value: &'a Value, ids: &mut Vec<&'a str>) {
    match value {
        Value::Object(object) => {
            let id = ["$artifact", "artifact_id"].iter().find_map(|key| object.get(*key).and_then(Value::as_str));
            match id {
                Some(id) => ids.push(id),
                None => object.values().for_each(|value| collect(value, ids)),
            }
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, ids)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_are_found_at_any_depth() {
        let value = json!({"a": [{"$artifact": "one", "artifact_id": "other"}], "b": {"artifact_id": "two"}, "c": "x"});
        let mut ids = Vec::new();
        collect(&value, &mut ids);
        assert_eq!(ids, ["one", "two"]);
    }
}
