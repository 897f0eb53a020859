//! Compares what was observed of some runs with what a golden case expects.

use domain::Time;
use serde_json::Value;

/// Every difference, as a line that names the place. `observed` has the shape of `expected`, with raw ids: `runs` in the
/// order of their creation (each with `run`, its id) and `checkpoints`. Keys of a run that were not observed are skipped.
pub fn differences(expected: &Value, observed: &Value) -> Vec<String> {
    let runs = list(observed, "runs");
    let ids: Vec<&str> = runs.iter().filter_map(|run| run["run"].as_str()).collect();
    let mut compare = Compare { ids, found: Vec::new() };
    compare.each("runs", list(expected, "runs"), runs, Compare::run);
    compare.each(
        "checkpoints",
        list(expected, "checkpoints"),
        list(observed, "checkpoints"),
        |compare, at, one, other| {
            compare.each(&format!("{at}.runs"), list(one, "runs"), list(other, "runs"), Compare::observed_keys);
        },
    );
    compare.found
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Keys that every observer of a run sees.
const SEEN: &[&str] = &["run", "status", "current_node", "ledger"];

struct Compare<'a> {
    ids: Vec<&'a str>,
    found: Vec<String>,
}

impl Compare<'_> {
    fn differ(&mut self, at: &str, expected: &Value, observed: &Value) {
        self.found.push(format!("{at}: expected {expected}, observed {observed}"));
    }

    fn each(&mut self, at: &str, expected: &[Value], observed: &[Value], one: fn(&mut Self, &str, &Value, &Value)) {
        if expected.len() != observed.len() {
            self.found.push(format!("{at}: expected {} entries, observed {}", expected.len(), observed.len()));
        }
        for (place, (expected, observed)) in expected.iter().zip(observed).enumerate() {
            one(self, &format!("{at}[{place}]"), expected, observed);
        }
    }

    fn run(&mut self, at: &str, expected: &Value, observed: &Value) {
        self.observed_keys(at, expected, observed);
        for key in SEEN.iter().filter(|key| observed.get(**key).is_none()) {
            self.found.push(format!("{at}: '{key}' was not observed"));
        }
        let ledgers = (list(expected, "ledger"), list(observed, "ledger"));
        self.each(&format!("{at}.ledger"), ledgers.0, ledgers.1, Self::record);
    }

    /// The keys that were observed, the ledger aside. A wait is compared by what was observed of it.
    fn observed_keys(&mut self, at: &str, expected: &Value, observed: &Value) {
        for (key, expected) in expected.as_object().into_iter().flatten().filter(|(key, _)| *key != "ledger") {
            let place = format!("{at}.{key}");
            match observed.get(key) {
                None => {}
                Some(observed) if key == "waiting" && observed.is_object() && expected.is_object() => {
                    for (key, observed) in observed.as_object().into_iter().flatten() {
                        self.value(&format!("{place}.{key}"), &expected[key], observed);
                    }
                }
                Some(observed) => self.value(&place, expected, observed),
            }
        }
    }

    fn record(&mut self, at: &str, expected: &Value, observed: &Value) {
        for key in ["node_id", "status", "error"] {
            self.value(&format!("{at}.{key}"), &expected[key], &observed[key]);
        }
        let attempt = expected.get("attempt").cloned().unwrap_or_else(|| Value::from(1));
        self.value(&format!("{at}.attempt"), &attempt, &observed["attempt"]);
        self.value(&format!("{at}.idempotency_key"), &expected["idempotency_key"], &observed["idempotency_key"]);
        let (one, other) = (&expected["effect"], &observed["effect"]);
        if one["type"] != "llm_call" {
            self.value(&format!("{at}.effect"), one, other);
            self.value(&format!("{at}.result"), &expected["result"], &observed["result"]);
            return;
        }
        self.value(&format!("{at}.effect.type"), &one["type"], &other["type"]);
        self.value(&format!("{at}.effect.result_key"), &one["result_key"], &other["result_key"]);
        self.named_keys(&format!("{at}.effect.payload"), &one["payload"], &other["payload"]);
        self.named_keys(&format!("{at}.result"), &expected["result"], &observed["result"]);
    }

    fn named_keys(&mut self, at: &str, expected: &Value, observed: &Value) {
        for (key, expected) in expected.as_object().into_iter().flatten() {
            self.value(&format!("{at}.{key}"), expected, &observed[key]);
        }
    }

    fn value(&mut self, at: &str, expected: &Value, observed: &Value) {
        match (expected, observed) {
            (Value::String(expected), Value::String(observed)) => {
                let observed = self.named(observed);
                if !matches(expected, &observed) {
                    self.found.push(format!("{at}: expected {expected:?}, observed {observed:?}"));
                }
            }
            (Value::Array(one), Value::Array(other)) => self.each(at, one, other, Self::value),
            (Value::Object(one), Value::Object(other)) => {
                if !one.keys().eq(other.keys()) {
                    let keys =
                        |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>().join(", ");
                    self.found.push(format!("{at}: expected the keys {}; observed {}", keys(one), keys(other)));
                }
                self.named_keys(at, expected, observed);
            }
            // Integers and floats are different on purpose, and `Value` keeps them apart.
            _ if expected == observed => {}
            _ => self.differ(at, expected, observed),
        }
    }

    /// The text with run ids replaced by their places.
    fn named(&self, text: &str) -> String {
        self.ids
            .iter()
            .enumerate()
            .fold(text.to_owned(), |text, (place, id)| text.replace(id, &format!("<run:{}>", place + 1)))
    }
}

/// Whether a text may stand in a placeholder's place.
type Test = fn(&str) -> bool;

/// Placeholders that stand for one value each, and what may stand in their place.
const PLACEHOLDERS: &[(&str, Test)] = &[
    ("<ts>", |text| text.parse::<Time>().is_ok()),
    ("<hash>", |text| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())),
    ("<msg>", |text| text.strip_prefix("msg_").is_some_and(|id| id.len() == 32)),
    ("<grounding>", |text| text.starts_with('[') && text.ends_with(']')),
    ("<num>", |text| text.parse::<f64>().is_ok()),
];

/// Whether a text is what the expected one, placeholders and all, allows.
fn matches(expected: &str, observed: &str) -> bool {
    let first =
        PLACEHOLDERS.iter().filter_map(|(name, test)| Some((expected.find(name)?, name, test))).min_by_key(|hit| hit.0);
    let Some((at, name, test)) = first else {
        return expected == observed;
    };
    let rest = &expected[at + name.len()..];
    let Some(observed) = observed.strip_prefix(&expected[..at]) else {
        return false;
    };
    let mut ends = observed.char_indices().map(|(end, _)| end).chain([observed.len()]);
    ends.any(|end| test(&observed[..end]) && matches(rest, &observed[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn placeholders_match_only_what_they_stand_for() {
        assert!(matches("at <ts>.", "at 2026-01-01T00:00:00.000000+00:00."));
        assert!(!matches("at <ts>.", "at noon."));
        assert!(matches("user:<run:1>:ask", "user:<run:1>:ask"));
        assert!(!matches("<hash>", "abc"));
    }

    #[test]
    fn every_difference_is_told_with_its_place() {
        let run = |status: &str, output: Value| {
            json!({"runs": [{
                "run": "r", "status": status, "current_node": "n", "output": output, "ledger": [],
            }]})
        };
        let mut expected = run("completed", json!({"a": 1}));
        expected["runs"][0]["run"] = json!("<run:1>");
        assert_eq!(differences(&expected, &run("completed", json!({"a": 1}))), Vec::<String>::new());
        let found = differences(&expected, &run("failed", json!({"a": 1.0})));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("runs[0].status") && found[1].starts_with("runs[0].output.a"));
    }
}
