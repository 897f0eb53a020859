//! The bytes of each event.

use crate::shapes::{Shape, shape};
use bytes::Bytes;
use serde_json::value::RawValue;

/// The events of a ledger's stream, each with the shape of its data.
pub(crate) const EVENTS: &[(&str, &str)] = &[("step", "LedgerStep"), ("done", "LedgerDone")];

/// Those shapes.
pub(crate) const STEPS: &[Shape] = &[
    shape("LedgerStep", &[("cursor", "integer"), ("record", "object")]),
    shape("LedgerDone", &[("run_id", "string"), ("cursor", "integer"), ("status", "string")]),
];

/// One record.
pub fn step(cursor: u64, record: &RawValue) -> Bytes {
    let record = record.get();
    // A line break would end the field; stored records have none, as the serializer escapes those inside texts.
    debug_assert!(!record.contains(['\n', '\r']), "a record spans lines");
    let mut event = String::with_capacity(record.len() + 80);
    event.push_str("id: ");
    event.push_str(&cursor.to_string());
    event.push_str("\nevent: step\ndata: {\"cursor\": ");
    event.push_str(&cursor.to_string());
    event.push_str(", \"record\": ");
    event.push_str(record);
    event.push_str("}\n\n");
    event.into()
}

/// A comment that keeps the connection alive.
pub fn keep_alive() -> Bytes {
    Bytes::from_static(b": keep-alive\n\n")
}

/// The end: the run has ended and everything was sent.
pub fn done(run: &str, cursor: u64) -> Bytes {
    let run = serde_json::Value::from(run);
    format!("event: done\ndata: {{\"run_id\": {run}, \"cursor\": {cursor}, \"status\": \"terminal\"}}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_the_bytes_of_the_contract() {
        let record = RawValue::from_string("{\"run_id\":\"r\"}".to_owned()).unwrap();
        assert_eq!(step(1, &record), "id: 1\nevent: step\ndata: {\"cursor\": 1, \"record\": {\"run_id\":\"r\"}}\n\n");
        let end = "event: done\ndata: {\"run_id\": \"r\\n\", \"cursor\": 4, \"status\": \"terminal\"}\n\n";
        assert_eq!(done("r\n", 4), end);
        assert_eq!(keep_alive(), ": keep-alive\n\n");
    }
}
