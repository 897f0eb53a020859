//! How a key is shown: everything but its hash, which nobody needs, and with the scopes that hold if none were named.

use domain::keys::{KeyRecord, KeyScope, KeySpending};
use serde_json::{Value, json};

/// What a key may do if nothing was said.
const USUAL: [KeyScope; 2] = [KeyScope::Inference, KeyScope::Models];

/// A key, and what it has used up so far; the sum is a few seconds old at most.
pub(super) fn key(record: &KeyRecord, spending: &KeySpending) -> Value {
    let mut shown = serde_json::to_value(record).unwrap_or_default();
    if let Some(object) = shown.as_object_mut() {
        object.shift_remove("hash");
        if record.scopes.is_empty() {
            object.insert("scopes".to_owned(), json!(USUAL));
        }
        object.insert("state".to_owned(), json!(if record.revoked_at.is_some() { "revoked" } else { "active" }));
        object.insert("tokens_used".to_owned(), json!(spending.tokens.get(&record.id).copied().unwrap_or(0)));
    }
    shown
}
