//! One table per family of nodes, and the laws that hold for all of them.

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

#[test]
fn arithmetic_gives_floats() {
    check([
        ("add", json!({"a": 1, "b": "2.5"}), json!(3.5)),
        ("add", json!({"a": true}), json!(1.0)),
        ("subtract", json!({"a": 1, "b": 3}), json!(-2.0)),
        ("multiply", json!({"a": " 2 ", "b": 3}), json!(6.0)),
        ("divide", json!({"a": 7, "b": 2}), json!(3.5)),
        ("divide", json!({"a": 7}), json!(7.0)),
        ("modulo", json!({"a": -7, "b": 3}), json!(2.0)),
        ("power", json!({"base": 2, "exp": 10}), json!(1024.0)),
        ("power", json!({"base": 3}), json!(3.0)),
        ("abs", json!({"value": -4}), json!(4.0)),
        ("round", json!({"value": 2.675, "decimals": 2}), json!(2.67)),
        ("round", json!({"value": 2.5}), json!(2.0)),
        ("round", json!({"value": 1250, "decimals": -2}), json!(1200.0)),
        ("multiply", json!({"a": 1e308, "b": 10}), json!(null)),
    ]);
}

#[test]
fn arithmetic_refuses_what_is_no_number() {
    let not_a_number = "TypeError: float() argument must be a string or a real number, not 'NoneType'";
    check_refused([
        ("add", json!({"a": null, "b": 1}), not_a_number),
        ("multiply", json!({"a": "x"}), "ValueError: could not convert string to float: 'x'"),
        ("divide", json!({"a": 1, "b": 0}), "ValueError: Division by zero"),
        ("modulo", json!({"a": 1, "b": 0.0}), "ValueError: Modulo by zero"),
        ("power", json!({"base": 0, "exp": -1}), "ZeroDivisionError: 0.0 cannot be raised to a negative power"),
        ("power", json!({"base": 10, "exp": 999}), "OverflowError: (34, 'Numerical result out of range')"),
    ]);
    assert!(run("power", json!({"base": -8, "exp": 0.5})).is_err());
}

#[test]
fn chance_is_the_seeds_and_stays_in_range() {
    let draw = |seed: &[u8], node: &str, inputs: Value| run_with(node, json!({}), inputs, json!({}), seed).unwrap();
    let mut drawn = std::collections::BTreeSet::new();
    for seed in 0_u32..200 {
        let seed = seed.to_be_bytes();
        let number = draw(&seed, "random_int", json!({"min": 3, "max": 1})).as_i64().unwrap();
        assert!((1..=3).contains(&number));
        drawn.insert(number);
        let float = draw(&seed, "random_float", json!({})).as_f64().unwrap();
        assert!((0.0..1.0).contains(&float));
        let element = draw(&seed, "get_random_element", json!({"array": ["a", "b"]}));
        assert!(element["found"] == json!(true) && (element["result"] == "a" || element["result"] == "b"));
    }
    assert_eq!(drawn.len(), 3);
    assert_eq!(draw(b"x", "random_int", json!({})), draw(b"x", "random_int", json!({})));
    assert_eq!(draw(b"x", "random_int", json!({"min": i64::MAX, "max": i64::MAX})), json!(i64::MAX));
    assert_eq!(draw(b"x", "get_random_element", json!({"default": 0})), json!({"result": 0, "found": false}));
}

#[test]
fn strings_follow_the_golden_flow() {
    let s = "  ab, ,b c ";
    check([
        ("uppercase", json!({"text": s}), json!("  AB, ,B C ")),
        ("trim", json!({"text": s}), json!("ab, ,b c")),
        ("length", json!({"text": s}), json!(11)),
        ("substring", json!({"text": s, "start": 2, "end": -2}), json!("ab, ,b ")),
        ("split", json!({"text": s, "delimiter": ","}), json!(["ab", "b c"])),
        ("replace", json!({"text": s, "pattern": "b", "replacement": "_", "mode": "first"}), json!("  a_, ,b c ")),
        ("contains", json!({"text": s, "pattern": "b,"}), json!(true)),
        ("is_empty_string", json!({"text": s}), json!(false)),
        ("format", json!({"template": "{x:>4}|{y!r}", "values": {"x": 7, "y": "q"}}), json!("   7|'q'")),
    ]);
}

#[test]
fn strings_take_odd_inputs() {
    check([
        ("uppercase", json!({}), json!("")),
        ("uppercase", json!({"text": null}), json!("NONE")),
        ("lowercase", json!({"text": [1, true]}), json!("[1, true]")),
        ("split", json!({"text": "a\\b", "delimiter": ""}), json!(["a\\b"])),
        (
            "split",
            json!({"text": "a\n b\n", "delimiter": "\\n", "trim": false, "drop_empty": false}),
            json!(["a", " b", ""]),
        ),
        ("split", json!({"text": "a,b,c", "maxsplit": 1}), json!(["a", "b,c"])),
        ("split", json!({"text": "a,b,c", "maxsplit": -1}), json!(["a", "b", "c"])),
        ("split", json!({"text": null}), json!([])),
        ("join", json!({"items": [1.0, null, true, "x"], "delimiter": "\\n"}), json!("1.0\n\nTrue\nx")),
        ("join", json!({"items": null}), json!("")),
        ("join", json!({"items": "solo"}), json!("solo")),
        ("format", json!({"template": "{x}", "values": null}), json!("{x}")),
        ("substring", json!({"text": 12345, "start": "1"}), json!("2345")),
        ("length", json!({"text": "é😀"}), json!(2)),
        ("is_empty_string", json!({"text": null}), json!(true)),
        ("contains", json!({"text": "abc", "pattern": ""}), json!(false)),
        ("contains", json!({"text": "abc", "pattern": null}), json!(false)),
        ("replace", json!({"text": "aaa", "pattern": "a", "replacement": "b", "mode": 2}), json!("bba")),
        ("replace", json!({"text": "aaa", "pattern": "a", "replacement": "b", "mode": "-1"}), json!("bbb")),
        ("replace", json!({"text": "aaa", "pattern": "a", "replacement": "b"}), json!("bbb")),
        ("replace", json!({"text": "aaa", "pattern": ""}), json!("aaa")),
    ]);
    check_refused([
        ("format", json!({"template": "{gone}"}), "KeyError: 'gone'"),
        ("substring", json!({"text": "abc", "start": "x"}), "ValueError: invalid literal for int() with base 10: 'x'"),
    ]);
}

#[test]
fn concat_joins_the_present_pins_in_their_order() {
    let data = json!({"inputs": pins(&["a", "b", "c", "d", "e"]), "concatConfig": {"separator": "|"}});
    let inputs = json!({"d": null, "c": {"k": [1.0, null, "x"]}, "b": true, "a": [1, "a", null], "ambient": "no"});
    let text = run_with("concat", data, inputs, json!({}), b"").unwrap();
    assert_eq!(text, json!("[1, 'a', None]|True|{'k': [1.0, None, 'x']}|"));
    assert_eq!(run("concat", json!({"b": 2, "a": 1})), Ok(json!("1 2")));
    let data = json!({"concatConfig": {"separator": "\\n"}});
    assert_eq!(run_with("concat", data, json!({"b": 2, "a": 1}), json!({}), b""), Ok(json!("1\n2")));
}

#[test]
fn templates_fill_paths_and_apply_filters() {
    let vars = json!({"user": {"name": "  ada "}, "punct": "!", "l": [1, null, "x"], "o": {"b": 1, "a": [{"c": 2.0}]}});
    let table = [
        ("Hi {{ user.name | trim | upper }}{{ punct }}", "Hi ADA!"),
        ("{{l|join}};{{ l | join(-) }};{{ l | join(\", \") }};{{l}}", "1, , x;1--x;1, , x;[1, None, 'x']"),
        ("{{ o | json }} {{o.a[0].c}} {{ o.a.0.c }} {{o.gone}}{{ }}", "{\"a\": [{\"c\": 2.0}], \"b\": 1} 2.0 2.0 "),
        ("{{punct|shout|lower}} {{a}}} {{ {{punct}} {{ x", "! }  {{ x"),
        ("{{ a\nb }} {{\npunct\n}}", "{{ a\nb }} !"),
        ("{{日\n{{punct}}", "{{日\n!"),
    ];
    for (template, text) in table {
        assert_eq!(run("string_template", json!({"template": template, "vars": vars})), Ok(json!(text)), "{template}");
    }
    check([
        ("string_template", json!({"template": null}), json!("")),
        ("string_template", json!({"template": "{{a}}", "vars": [1]}), json!("")),
    ]);
}

#[test]
fn comparisons_are_pythons() {
    let compare = |a: Value, op: &str, b: Value| run("compare", json!({"a": a, "op": op, "b": b}));
    for (a, op, b, verdict) in [
        (json!(1), "==", json!(1.0), true),
        (json!(true), "==", json!(1), true),
        (json!("1"), "==", json!(1), false),
        (json!(null), "!=", json!(0), true),
        (json!(2), "<", json!(10), true),
        (json!("2"), "<", json!(10), false),
        (json!("2"), ">=", json!(10), false),
        (json!([1, 2]), "<=", json!([1, 2]), true),
        (json!({}), "<=", json!({}), false),
        (json!("b"), ">", json!("a"), true),
    ] {
        assert_eq!(compare(a.clone(), op, b.clone()), Ok(json!(verdict)), "{a} {op} {b}");
    }
    assert_eq!(run("compare", json!({"a": 1, "b": 1})), Ok(json!(true)));
    assert_eq!(compare(json!(1), "=", json!(1)).unwrap_err().raise, Raise::ValueError);
}

#[test]
fn gates_are_boolean() {
    check([
        ("not", json!({"value": []}), json!(true)),
        ("not", json!({}), json!(true)),
        ("and", json!({"a": "x", "b": 1}), json!(true)),
        ("and", json!({"a": "x"}), json!(false)),
        ("or", json!({"a": 0, "b": {}}), json!(false)),
        ("or", json!({"a": 0, "b": "x"}), json!(true)),
        ("coalesce", json!({"a": null, "b": []}), json!([])),
        ("coalesce", json!({}), json!(null)),
        ("path_mux", json!({"select": 1, "in0": "a", "in1": null, "fallback": 2}), json!({"out": null})),
        ("path_mux", json!({"select": 2, "in0": "a", "fallback": 2}), json!({"out": 2})),
        ("path_mux", json!({"in0": "a"}), json!({"out": "a"})),
        ("path_mux", json!({"select": 7}), json!({"out": null})),
    ]);
    let data = json!({"inputs": pins(&["second", "first"])});
    let chosen = run_with("coalesce", data, json!({"first": 1, "second": 2, "a": 3}), json!({}), b"");
    assert_eq!(chosen, Ok(json!(2)));
}

#[test]
fn arrays_follow_the_golden_flow() {
    let xs = json!([{"k": 1, "v": "a"}, {"k": 2}, {"k": 1, "v": "c"}]);
    check([
        ("array_length", json!({"array": xs}), json!(3)),
        ("array_map", json!({"items": xs, "key": "k"}), json!([1, 2, 1])),
        ("array_filter", json!({"items": xs, "key": "k", "value": 1}), json!([xs[0], xs[2]])),
        ("array_append", json!({"array": xs, "item": {"k": 9}}), json!([xs[0], xs[1], xs[2], {"k": 9}])),
        ("array_dedup", json!({"array": xs, "key": "k"}), json!([xs[0], xs[1]])),
        ("get_element", json!({"array": xs, "index": -1}), json!({"result": xs[2], "found": true})),
        ("get_element", json!({"array": xs, "index": 9, "default": "d"}), json!({"result": "d", "found": false})),
        ("has_tools", json!({"array": xs}), json!(true)),
        ("array_concat", json!({"a": xs, "b": 5}), json!([xs[0], xs[1], xs[2], 5])),
    ]);
    let data = json!({"inputs": pins(&["a", "b", "c", "a"])});
    assert_eq!(run_with("make_array", data, json!({"c": [3], "a": 1}), json!({}), b""), Ok(json!([1, [3]])));
}

#[test]
fn arrays_take_odd_inputs() {
    check([
        ("array_length", json!({"array": "abc"}), json!(0)),
        ("has_tools", json!({"array": null}), json!(false)),
        ("array_append", json!({"item": 1}), json!([1])),
        ("array_append", json!({"array": "a"}), json!(["a", null])),
        ("array_map", json!({"items": [{"k": 1}, 2, {"x": 1}], "key": "k"}), json!([1, 2, null])),
        ("array_map", json!({"items": "ab"}), json!(["a", "b"])),
        ("array_map", json!({}), json!([])),
        ("array_filter", json!({"items": [1, true, "1", 1.0, 2], "value": 1}), json!([1, true, 1.0])),
        (
            "array_dedup",
            json!({"array": [1, 1.0, true, "1", 1, {"b": 1, "a": 2}, {"a": 2, "b": 1}]}),
            json!([1, 1.0, true, "1", {"b": 1, "a": 2}]),
        ),
        (
            "array_dedup",
            json!({"array": [{"a": {"b": 1}}, {"a": {"b": 1}, "c": 2}, {"c": 3}, {"c": 3}], "key": "a.b"}),
            json!([{"a": {"b": 1}}, {"c": 3}]),
        ),
        ("array_dedup", json!({"array": 5}), json!([])),
        ("get_element", json!({"array": [1, 2], "index": "1.9"}), json!({"result": 2, "found": true})),
        ("get_element", json!({"array": [1, 2], "index": true}), json!({"result": 1, "found": true})),
        ("get_element", json!({"array": [1, 2], "index": -1e300}), json!({"result": null, "found": false})),
        ("array_concat", json!({"a": null, "b": [null, 1]}), json!([null, 1])),
    ]);
    check_refused([("array_map", json!({"items": null}), "TypeError: 'NoneType' object is not iterable")]);
}

#[test]
fn objects_are_read_and_changed_by_path() {
    check([
        ("get", json!({"object": {"payload": {"n": 5}}, "key": "payload.n"}), json!({"value": 5})),
        ("get", json!({"object": {"a": [{"b": 1}]}, "key": "a[0].b"}), json!({"value": 1})),
        ("get", json!({"object": {"a": [{"b": 1}]}, "key": "a.0.b"}), json!({"value": 1})),
        ("get", json!({"object": {"a": null}, "key": "a", "default": 7}), json!({"value": 7})),
        ("get", json!({"object": [1], "key": "1"}), json!({"value": null})),
        ("get", json!({"key": ""}), json!({"value": null})),
        ("set", json!({"object": {"a": {"b": 1}}, "key": "a.c.d", "value": 2}), json!({"a": {"b": 1, "c": {"d": 2}}})),
        ("set", json!({"object": {"a": [1, 2], "z": 0}, "key": "a[1]", "value": 3}), json!({"a": [1, 3], "z": 0})),
        ("set", json!({"key": "a.b"}), json!({"a": {"b": null}})),
        ("set", json!({"object": {"a": 1}, "key": "a.b", "value": 2}), json!({"a": {"b": 2}})),
        ("merge", json!({"a": {"x": 1, "y": 1}, "b": {"y": 2, "z": 3}}), json!({"x": 1, "y": 2, "z": 3})),
        ("merge", json!({"b": []}), json!({})),
        ("make_object", json!({"z": 1, "_hidden": 2, "a": null}), json!({"z": 1, "a": null})),
    ]);
    assert_eq!(run("merge", json!({"a": null})).unwrap_err().raise, Raise::TypeError);
    let merged = run("merge", json!({"a": {"x": 1, "y": 1}, "b": {"y": 2, "a": 3}})).unwrap();
    assert_eq!(merged.to_string(), "{\"x\":1,\"y\":2,\"a\":3}");
}

#[test]
fn objects_break_into_their_selected_paths() {
    let data = json!({"breakConfig": {"selectedPaths": ["tool_calls", " 0.object ", "gone.x", 5, ""]}});
    let broken = |object: Value| run_with("break_object", data.clone(), json!({"object": object}), json!({}), b"");
    let outputs = broken(json!({"tool_calls": 1, "0": {"object": "o"}}));
    assert_eq!(outputs, Ok(json!({"tool_calls": 1, "0.object": "o", "gone.x": null})));
    assert_eq!(broken(json!([{"object": "o"}])).unwrap()["0.object"], json!("o"));
    assert_eq!(broken(json!("Sure: {\"tool_calls\": 2}")).unwrap()["tool_calls"], json!(2));
    assert_eq!(broken(json!("nothing")).unwrap()["tool_calls"], json!(null));
}

#[test]
fn json_is_read_out_of_what_models_write() {
    check([
        ("parse_json", json!({"text": "{\"result\": 5}"}), json!({"result": 5})),
        ("parse_json", json!({"text": {"a": 1}}), json!({"a": 1})),
        ("parse_json", json!({"text": "```json\n[1, 2.0]\n```"}), json!([1, 2.0])),
        ("parse_json", json!({"text": "Here you are: {\"a\": [1]} and {\"b\": 2}"}), json!({"a": [1]})),
        ("parse_json", json!({"text": "{'a': (1, None), 'b': True}"}), json!({"a": [1, null], "b": true})),
        (
            "parse_json",
            json!({"text": "{\"a\": NaN, \"b\": [-Infinity, \"NaN\"]}"}),
            json!({"a": null, "b": [null, "NaN"]}),
        ),
        ("parse_json", json!({"text": "5"}), json!({"value": 5})),
        ("parse_json", json!({"text": "null"}), json!({"value": null})),
        ("parse_json", json!({"text": "5", "wrap_scalar": false}), json!(5)),
        ("parse_json", json!({"text": true}), json!({"value": true})),
    ]);
    for text in [json!(null), json!(""), json!("  "), json!("``` ```"), json!("no json here"), json!("{\"a\": ")] {
        assert_eq!(run("parse_json", json!({"text": text})).unwrap_err().raise, Raise::ValueError, "{text}");
    }
}

#[test]
fn json_is_written_in_the_mode_that_is_asked_for() {
    let value = json!({"b": [1, 2.0, "é"], "a": {}});
    check([
        ("stringify_json", json!({"value": value, "mode": "minified"}), json!("{\"b\":[1,2.0,\"é\"],\"a\":{}}")),
        ("stringify_json", json!({"value": value, "mode": "none"}), json!("{\"b\": [1, 2.0, \"é\"], \"a\": {}}")),
        ("stringify_json", json!({"value": [1], "mode": " Beautify "}), json!("[\n  1\n]")),
        ("stringify_json", json!({"value": [1], "indent": 4}), json!("[\n    1\n]")),
        ("stringify_json", json!({"value": [1], "indent": 0}), json!("[1]")),
        ("stringify_json", json!({"value": " {'a': 1} ", "mode": "minified"}), json!("{\"a\":1}")),
        ("stringify_json", json!({"value": "{oops", "mode": "minified"}), json!("\"{oops\"")),
        ("stringify_json", json!({"value": "5"}), json!("\"5\"")),
        ("stringify_json", json!({}), json!("null")),
    ]);
}

#[test]
fn schemas_only_gain_what_they_lack() {
    let base = json!({"title": "T", "properties": {"a": {"type": "string"}}, "required": ["a", "a", " "]});
    let literal = json!({"properties": {"a": {"type": "number"}, "b": {}}, "required": ["a", "b"], "$defs": {"D": {}}});
    let edited =
        run_with("edit_json_schema", json!({"literalValue": literal}), json!({"schema": base}), json!({}), b"");
    let schema = json!({"title": "T", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a", "b"],
        "type": "object", "$defs": {"D": {}}});
    assert_eq!(edited, Ok(json!({"schema": schema})));
    let only = run_with("edit_json_schema", json!({"literalValue": literal}), json!({}), json!({}), b"");
    assert_eq!(only, Ok(json!({"schema": literal})));
    assert_eq!(run("edit_json_schema", json!({"schema": base})), Ok(json!({"schema": base})));
}

#[test]
fn envelopes_have_the_keys_of_their_pins() {
    check([
        (
            "make_context",
            json!({"task": 5, "messages": "m", "context_extra": {"session": "s", "task": "x"}}),
            json!({"context": {"session": "s", "task": "5", "messages": ["m"]}}),
        ),
        (
            "make_meta",
            json!({"version": "2.9", "provider": " p ", "tool_calls": true, "iterations": 3, "trace": "t",
            "warnings": ["w", " ", 1], "extra": {"schema": "no", "note": 1}, "gen_time": 0.5}),
            json!({"meta": {"schema": "abstractcode.agent.v1.meta", "note": 1, "version": 2, "provider": "p",
                "iterations": 3, "gen_time": 0.5, "trace": {"trace_id": "t"}, "warnings": ["w", "1"]}}),
        ),
        (
            "make_scratchpad",
            json!({"sub_run_id": " r ", "steps": {"a": 1}}),
            json!({"scratchpad": {"sub_run_id": "r", "task": "", "messages": [], "node_traces": {},
                "steps": [{"a": 1}], "tool_calls": [], "tool_results": []}}),
        ),
    ]);
}

#[test]
fn tool_results_become_one_line_each() {
    let results = json!([
        {"name": "read_file", "success": true, "output": "a\n\nb", "arguments": {"file_path": "x.txt"}},
        {"name": "execute_command", "success": false, "error": "boom", "output": {"command": "ls", "rc": 1}},
        {"output": {"rendered": " done "}},
        "skipped",
        {"name": "t", "output": null}
    ]);
    let lines = "- read_file(x.txt) [SUCCESS] : a b\n- execute_command(ls) [FAILURE] : boom\n\
        - tool(done) [DONE] : done\n- t() [DONE] : (no output)";
    let text = run("format_tool_results", json!({"tool_results": results})).unwrap();
    assert_eq!(text, json!(lines));
    check([("format_tool_results", json!({}), json!(""))]);
    let long = run("format_tool_results", json!({"tool_results": [{"name": "t", "output": "é".repeat(9_999)}]}));
    assert!(long.unwrap().as_str().unwrap().ends_with('…'));
}

#[test]
fn a_trace_report_tells_the_steps_in_order() {
    let traces = json!({
        "act": {"steps": [{"ts": "2", "node_id": "act", "status": "completed",
            "effect": {"type": "tool_calls", "payload": {"tool_calls": [{"name": "ls", "arguments": {"path": "/"}}]}},
            "result": {"results": [{"name": "ls", "success": true, "output": "etc"}]}}]},
        "reason": {"steps": [{"ts": "1", "node_id": "reason", "status": "completed", "effect": {"type": "llm_call"},
            "result": {"content": "Let me\nlook."}}]}
    });
    let report = run("agent_trace_report", json!({"scratchpad": {"task": "Look", "node_traces": traces}})).unwrap();
    let text = "# Agent trace\n\nTask: Look\n\n## Steps\n\n1. `reason` llm_call — completed\n   Let me look.\n\
        2. `act` tool_calls — completed\n   - ls(/) [SUCCESS] : etc\n";
    assert_eq!(report, json!(text));
    assert_eq!(run("agent_trace_report", json!({})), Ok(json!("# Agent trace\n\n## Steps\n\n(no steps)\n")));
}

#[test]
fn variables_are_read_by_path_and_type() {
    let vars = json!({"user": {"tags": ["x", "y"]}, "n": 0, "flag": true, "context": {"task": null, "messages": [1]}});
    let read = |node: &str, data: Value, inputs: Value| run_with(node, data, inputs, vars.clone(), b"").unwrap();
    assert_eq!(read("get_var", json!({}), json!({"name": " user.tags.1 "})), json!({"value": "y"}));
    assert_eq!(read("get_var", json!({}), json!({"name": "gone"})), json!({"value": null}));
    assert_eq!(read("get_var", json!({}), json!({})), json!({"value": null}));
    let declare = |literal: Value| read("var_decl", json!({"literalValue": literal}), json!({}))["value"].clone();
    assert_eq!(declare(json!({"name": "n", "type": "number", "default": 5})), json!(0));
    assert_eq!(declare(json!({"name": "n", "type": "string", "default": "d"})), json!("d"));
    assert_eq!(declare(json!({"name": "n", "type": "array", "default": "d"})), json!([]));
    assert_eq!(declare(json!({"name": "gone", "type": "any", "default": 5})), json!(null));
    assert_eq!(declare(json!({"type": "any", "default": 5})), json!(5));
    let flag = |literal: Value| read("bool_var", json!({"literalValue": literal}), json!({}));
    assert_eq!(flag(json!("flag")), json!({"name": "flag", "value": true}));
    assert_eq!(flag(json!({"name": "n", "default": true})), json!({"name": "n", "value": true}));
    assert_eq!(flag(json!(null)), json!({"name": "", "value": false}));
    let context = json!({"context": {"task": null, "messages": [1]}, "task": "", "messages": [1]});
    assert_eq!(read("get_context", json!({}), json!({})), context);
    let empty = run_with("get_context", json!({}), json!({}), json!({}), b"");
    assert_eq!(empty, Ok(json!({"context": {}, "task": "", "messages": []})));
}

#[test]
fn literals_give_what_stands_in_the_flow() {
    let literal = |node: &str, value: Value| run_with(node, json!({"literalValue": value}), json!({}), json!({}), b"");
    assert_eq!(literal("literal_number", json!(6)), Ok(json!({"value": 6})));
    assert_eq!(literal("literal_number", json!(6.0)), Ok(json!({"value": 6.0})));
    assert_eq!(literal("json_schema", json!({"type": "object"})), Ok(json!({"value": {"type": "object"}})));
    assert_eq!(run("literal_string", json!({})), Ok(json!({"value": null})));
    assert_eq!(literal("tools_allowlist", json!([" b ", "a", "b", 5, ""])), Ok(json!({"tools": ["b", "a"]})));
    let data = json!({"inputs": pins(&["file_path", "limit"]), "toolParametersConfig": {"tool": "read_file"}});
    let outputs = run_with("tool_parameters", data, json!({"file_path": "b.txt"}), json!({}), b"");
    let tool_call = json!({"name": "read_file", "arguments": {"file_path": "b.txt"}});
    assert_eq!(outputs, Ok(json!({"file_path": "b.txt", "limit": null, "tool_call": tool_call})));
}

#[test]
fn the_moment_is_told_in_the_local_zone() {
    let told =
        json!({"iso": "2026-11-20T20:26:44.103285-03:00", "timezone": "-03", "utc_offset_minutes": -180, "locale": ""});
    assert_eq!(run("system_datetime", json!({})), Ok(told));
}

#[test]
fn a_pure_message_changes_no_variable() {
    let vars = json!({"context": {"task": "t", "messages": [{"role": "system"}]}});
    let outputs = run_with("add_message", json!({}), json!({"content": 5}), vars, b"s").unwrap();
    let message = &outputs["message"];
    assert_eq!(
        (&message["role"], &message["content"], &message["timestamp"]),
        (&json!("user"), &json!("5"), &json!(NOW))
    );
    let id = message["metadata"]["message_id"].as_str().unwrap();
    assert!(id.len() == 36 && id.starts_with("msg_"));
    assert_eq!(outputs["messages"], json!([{"role": "system"}, message]));
    assert_eq!(outputs["context"]["messages"], outputs["messages"]);
    assert_eq!(outputs["task"], json!("t"));
}

#[test]
fn what_is_not_supported_says_so_by_name() {
    for node in ["model_catalog", "provider_catalog", "provider_models"] {
        let problem = run(node, json!({})).unwrap_err();
        assert_eq!(problem.report(), format!("NotImplementedError: node type '{node}' is not supported yet"));
    }
    let code = run_with("function", json!({"expression": "x + 1"}), json!({"x": 1}), json!({}), b"");
    assert_eq!(code.unwrap_err().raise, Raise::NotImplementedError);
    assert_eq!(run("function", json!({"x": 1})), Ok(json!({"x": 1})));
}

#[test]
fn no_node_gives_out_more_than_the_limits() {
    let text = "x".repeat(1024 * 1024);
    let many: Vec<String> = (0..64).map(|index| format!("p{index}")).collect();
    let names: Vec<&str> = many.iter().map(String::as_str).collect();
    let inputs: Value = many.iter().map(|pin| (pin.clone(), json!(text))).collect::<Object>().into();
    let data = json!({"inputs": pins(&names)});
    for node in ["concat", "make_array", "array_concat", "tool_parameters"] {
        let problem = run_with(node, data.clone(), inputs.clone(), json!({}), b"").unwrap_err();
        assert_eq!(problem.raise, Raise::MemoryError, "{node}");
    }
    let paths: Vec<String> = (0..64).map(|index| format!("a[{}]", "0".repeat(index + 1))).collect();
    let data = json!({"breakConfig": {"selectedPaths": paths}});
    let problem = run_with("break_object", data, json!({"object": {"a": [text]}}), json!({}), b"").unwrap_err();
    assert_eq!(problem.raise, Raise::MemoryError);
    let commas = ",".repeat(4 * 1024 * 1024);
    assert_eq!(run("split", json!({"text": commas, "drop_empty": false})).unwrap_err().raise, Raise::MemoryError);
    let blanks = json!({"template": "{{a|trim}}".repeat(128), "vars": {"a": " ".repeat(1024 * 1024)}});
    assert_eq!(run("string_template", blanks).unwrap_err().raise, Raise::MemoryError);
    let template = "{{a}}".repeat(64);
    let inputs = json!({"template": template, "vars": {"a": text}});
    assert_eq!(run("string_template", inputs).unwrap_err().raise, Raise::MemoryError);
}

#[test]
fn values_do_not_grow_deep_by_paths() {
    let deep = "a.".repeat(domain::limits::JSON_DEPTH) + "a";
    assert!(run("set", json!({"key": deep})).is_err());
    let deep = "a.".repeat(domain::limits::JSON_DEPTH - 1) + "a";
    let object = run("set", json!({"key": deep, "value": 1})).unwrap();
    assert_eq!(run("set", json!({"key": "a.b", "value": object})).unwrap_err().raise, Raise::RecursionError);
}

/// Data that nodes look into, with anything where they look.
fn any_data() -> impl Strategy<Value = Value> {
    (any_value(), any_value(), prop::collection::vec("[a-d_]{0,2}", 0..4)).prop_map(|(value, other, names)| {
        json!({
            "inputs": names.iter().map(|id| json!({"id": id, "type": value})).collect::<Vec<_>>(),
            "literalValue": value, "breakConfig": {"selectedPaths": [value, "a", "b.0", other]},
            "concatConfig": {"separator": other}, "toolParametersConfig": {"tool": value, "name": other},
            "expression": value,
        })
    })
}

const PINS: [&str; 27] = [
    "a",
    "b",
    "base",
    "exp",
    "value",
    "decimals",
    "min",
    "max",
    "text",
    "delimiter",
    "items",
    "template",
    "values",
    "vars",
    "start",
    "end",
    "pattern",
    "replacement",
    "mode",
    "op",
    "object",
    "key",
    "array",
    "index",
    "item",
    "scratchpad",
    "tool_results",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_node_takes_every_input(
        data in any_data(),
        values in prop::collection::vec(prop::option::weighted(0.8, any_value()), PINS.len()),
        vars in any_value(),
        seed in any::<[u8; 4]>(),
    ) {
        let set = PINS.iter().zip(values).filter_map(|(pin, value)| Some(((*pin).to_owned(), value?)));
        let inputs: Value = set.collect::<Object>().into();
        let vars = if vars.is_object() { vars } else { json!({"context": vars}) };
        for name in all_names() {
            let first = run_with(name, data.clone(), inputs.clone(), vars.clone(), &seed);
            prop_assert_eq!(&first, &run_with(name, data.clone(), inputs.clone(), vars.clone(), &seed));
        }
    }
}
