//! Comparisons, arrays, objects, JSON and schemas.

use super::*;

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
