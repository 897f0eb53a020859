//! Values too large for a record: stored by hash, referred to by id.

use bus::{Blobs, Bus, BusError};
use bytes::Bytes;
use domain::{Object, RunId, limits};
use serde_json::Value;

/// Stores and finds large values. Cheap to clone.
#[derive(Clone)]
pub struct Values {
    blobs: Blobs,
}

impl Values {
    /// On a bus.
    pub fn new(bus: &Bus) -> Self {
        Self { blobs: bus.blobs() }
    }

    /// Replaces every text, list or object in `value` whose JSON is larger than the inline limit by a reference
    /// `{"$artifact": id}`, deepest first, after storing it. Returns whether anything was replaced.
    pub async fn offload(&self, run: &RunId, value: &mut Value) -> Result<bool, BusError> {
        let mut large = Vec::new();
        take_large(run, value, &mut large, 0);
        for (id, bytes) in &large {
            self.blobs.put_once(&name(id), bytes).await?;
        }
        Ok(!large.is_empty())
    }

    /// The bytes behind a reference.
    pub async fn get(&self, id: &str) -> Result<Option<Bytes>, BusError> {
        self.blobs.get(&name(id)).await
    }
}

fn name(id: &str) -> String {
    format!("value/{id}")
}

/// Artifact ids are the first 32 hexadecimal digits of the hash of run and content.
fn artifact_id(run: &RunId, bytes: &[u8]) -> String {
    let mut id = domain::digest_hex(&[run.as_str().as_bytes(), bytes]);
    id.truncate(32);
    id
}

/// The size of the value's JSON after replacement.
fn take_large(run: &RunId, value: &mut Value, large: &mut Vec<(String, Vec<u8>)>, depth: usize) -> usize {
    let size = match value {
        Value::Null => 4,
        Value::Bool(_) => 5,
        Value::Number(number) => number.to_string().len(),
        Value::String(text) => text.len() + 2,
        Value::Array(items) => {
            2 + items.iter_mut().map(|item| take_large(run, item, large, depth + 1) + 1).sum::<usize>()
        }
        Value::Object(fields) => {
            2 + fields
                .iter_mut()
                .map(|(key, item)| key.len() + 4 + take_large(run, item, large, depth + 1))
                .sum::<usize>()
        }
    };
    if size <= limits::INLINE_BYTES || depth == 0 {
        return size;
    }
    let bytes = match &*value {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string().into_bytes()
        }
    };
    let id = artifact_id(run, &bytes);
    let mut reference = Object::new();
    reference.insert("$artifact".to_owned(), id.clone().into());
    *value = Value::Object(reference);
    large.push((id, bytes));
    48
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_too_large_is_replaced_and_the_root_is_kept() {
        let run = RunId::new("r");
        let mut value = json!({"small": "x", "big": "y".repeat(300_000), "list": [{"deep": "z".repeat(300_000)}, 1]});
        let mut large = Vec::new();
        take_large(&run, &mut value, &mut large, 0);
        assert_eq!(large.len(), 2);
        assert_eq!(value["small"], "x");
        assert_eq!(value["big"]["$artifact"], artifact_id(&run, "y".repeat(300_000).as_bytes()));
        assert_eq!(value["list"][1], 1);
        assert!(value["list"][0]["deep"]["$artifact"].is_string());
    }
}
