//! One table per family of nodes, and the laws that hold for all of them.

mod bounds;
mod nodes;
mod numbers;
mod texts;
mod values;

use super::*;
use crate::py::tests::any_value;
use crate::py::{Exception, Raise};
use domain::Time;
use jiff::tz::{Offset, TimeZone};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: &str = "2026-11-20T23:26:44.103285+00:00";

fn object(value: Value) -> Object {
    value.as_object().cloned().unwrap()
}

fn run_with(node: &str, data: Value, inputs: Value, vars: Value, seed: &[u8]) -> Result<Value, Exception> {
    let zone = TimeZone::fixed(Offset::constant(-3));
    let vars = object(vars);
    let context = Context { vars: &vars, now: NOW.parse::<Time>().unwrap(), zone: &zone, seed };
    eval(Kind::parse(node).unwrap(), &object(data), &object(inputs), &context)
}

fn run(node: &str, inputs: Value) -> Result<Value, Exception> {
    run_with(node, json!({}), inputs, json!({}), b"seed")
}

#[track_caller]
fn check(table: impl IntoIterator<Item = (&'static str, Value, Value)>) {
    for (node, inputs, output) in table {
        assert_eq!(run(node, inputs.clone()), Ok(output), "{node} {inputs}");
    }
}

#[track_caller]
fn check_refused(table: impl IntoIterator<Item = (&'static str, Value, &'static str)>) {
    for (node, inputs, report) in table {
        assert_eq!(run(node, inputs.clone()).unwrap_err().report(), report, "{node} {inputs}");
    }
}

fn pins(ids: &[&str]) -> Value {
    Value::Array(ids.iter().map(|id| json!({"id": id, "label": id, "type": "any"})).collect())
}

fn all_names() -> Vec<&'static str> {
    let families = [
        Math::NAMES,
        Strings::NAMES,
        Logic::NAMES,
        Arrays::NAMES,
        Objects::NAMES,
        Envelope::NAMES,
        Report::NAMES,
        Variables::NAMES,
        Literals::NAMES,
        Ambient::NAMES,
    ];
    families.concat()
}

#[test]
fn every_name_is_one_kind_and_finds_itself() {
    let names = all_names();
    for name in &names {
        assert_eq!(Kind::parse(name).map(Kind::name), Some(*name));
        assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
    }
    assert_eq!(Kind::parse("answer_user"), None);
    assert!(Kind::parse("add").unwrap().default_pure());
    assert!(!Kind::parse("add_message").unwrap().default_pure());
    assert!(!Kind::parse("function").unwrap().default_pure());
}
