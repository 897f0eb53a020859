//! How a key is shown: everything but its hash, which nobody needs.

use domain::keys::{KeyRecord, KeySpending};
use serde_json::{Value, json};

/// A key, and what it has used up so far; the sum is a few seconds old at most.
pub(super) fn key(record: &KeyRecord, spending: &KeySpending) -> Value {
    let mut shown = serde_json::to_value(record).unwrap_or_default();
    if let Some(object) = shown.as_object_mut() {
        object.shift_remove("hash");
        object.insert("state".to_owned(), json!(if record.revoked_at.is_some() { "revoked" } else { "active" }));
        object.insert("tokens_used".to_owned(), json!(spending.tokens.get(&record.id).copied().unwrap_or(0)));
    }
    shown
}
