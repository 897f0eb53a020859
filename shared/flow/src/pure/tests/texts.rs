//! Strings and templates.

use super::*;

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
