//! Golden flows with random damage: whatever comes out compiles or is refused, and runs or fails, and never panics.

use crate::driver::Driver;
use domain::{CommandKind, Source};
use flow::{Bundle, Library};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const ROUNDS: u64 = 3_000;

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end.max(1)).unwrap()).unwrap()
    }
}

fn documents() -> Vec<(String, Value, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/cases");
    let mut documents = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let case = entry.unwrap().path();
        let bundle = Bundle::read(&fs::read(case.join("bundle.flow")).unwrap()).unwrap();
        let input: Value = serde_json::from_str(&fs::read_to_string(case.join("input.json")).unwrap()).unwrap();
        for (id, flow) in bundle.flows() {
            let workflow = bundle.reference().workflow(id).to_string();
            documents.push((workflow, bundle.namespaced(id, flow), input["input_data"].clone()));
        }
    }
    documents.sort_by(|one, other| one.0.cmp(&other.0));
    documents
}

/// Every place in a document that can be replaced.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(place, item)| places(item, &format!("{at}/{place}"), found));
        }
        Value::Object(map) => {
            map.iter().for_each(|(key, item)| places(item, &format!("{at}/{}", escaped(key)), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn damage(document: &mut Value, random: &mut Random) {
    let mut found = Vec::new();
    places(document, "", &mut found);
    let (from, to) = (found[random.below(found.len())].clone(), found[1 + random.below(found.len() - 1)].clone());
    let other = document.pointer(&from).cloned().unwrap_or(Value::Null);
    let words = [
        "exec-in",
        "exec-out",
        "loop",
        "done",
        "true",
        "case:x",
        "result",
        "output",
        "_temp",
        "for",
        "while",
        "on_event",
        "on_schedule",
        "subflow",
        "llm_call",
        "emit_event",
        "parallel",
        "join_exec",
        "{{ a | json }}",
        "-1",
        "0s",
        "\u{0}",
        "a.b.c",
    ];
    let with = match random.below(8) {
        0 => json!(null),
        1 => json!(-1.5e300),
        2 => json!(i64::MIN),
        3 => json!([[], {}, [null]]),
        4 | 5 => json!(words[random.below(words.len())]),
        _ => other,
    };
    if let Some(place) = document.pointer_mut(&to) {
        *place = with;
    }
}

#[test]
fn damaged_flows_are_refused_or_run_and_never_panic() {
    let documents = documents();
    let mut random = Random(0x5eed);
    let (mut compiled, mut ended) = (0, 0);
    for _ in 0..ROUNDS {
        let (id, document, vars) = &documents[random.below(documents.len())];
        let mut document = document.clone();
        for _ in 0..=random.below(3) {
            damage(&mut document, &mut random);
        }
        let is_other = |entry: &&(String, Value, Value)| entry.0 != *id && entry.0.ends_with(":child");
        let others: Vec<(domain::WorkflowId, &Value)> =
            documents.iter().filter(is_other).map(|(id, flow, _)| (id.as_str().into(), flow)).collect();
        let own: domain::WorkflowId = id.as_str().into();
        let all = others.iter().map(|(id, flow)| (id, *flow)).chain([(&own, &document)]);
        let Ok(library) = Library::from_documents(all) else {
            continue;
        };
        compiled += 1;
        let mut driver = Driver::new(library, &[json!({"content": "x"})]);
        let vars = vars.as_object().cloned().unwrap_or_default();
        let root = driver.start(id, vars, "s", Source::Bundle { sha256: String::new() });
        if !driver.drive_at_most(200) {
            continue;
        }
        driver.command(&root, CommandKind::Resume, json!({"payload": {"response": "x"}}));
        driver.command(&root, CommandKind::Cancel, json!({}));
        driver.drive_at_most(200);
        ended += usize::from(driver.runs[0].status.is_terminal());
    }
    assert!(compiled > 1_000 && ended > 1_000, "{compiled} compiled, {ended} ended");
}
