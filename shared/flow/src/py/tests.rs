//! Facts of Python 3.11, recorded, and laws that hold for every value.

use super::*;
use crate::pure::path::Path;
use domain::Object;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::cmp::Ordering;

#[test]
fn floats_print_as_python_prints_them() {
    let table = [
        (6.0, "6.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (1e15, "1000000000000000.0"),
        (9_999_999_999_999_998.0, "9999999999999998.0"),
        (1e16, "1e+16"),
        (1.5e-5, "1.5e-05"),
        (0.0001, "0.0001"),
        (123_456_789.125, "123456789.125"),
        (5e-324, "5e-324"),
        (f64::MAX, "1.7976931348623157e+308"),
        (999_999_999_999_998.2, "999999999999998.2"),
    ];
    for (number, text) in table {
        assert_eq!(float_repr(number), text);
    }
}

#[test]
fn values_print_as_python_reprs() {
    let table = [
        (json!([1, "a", null]), "[1, 'a', None]"),
        (json!({"k": [1.0, null, "x"], "t": true}), "{'k': [1.0, None, 'x'], 't': True}"),
        (json!("it's"), "\"it's\""),
        (json!("'\""), "'\\'\"'"),
        (json!("a\n\t\\\u{0}\u{7f}\u{85}é\u{200b}😀"), "'a\\n\\t\\\\\\x00\\x7f\\x85é\\u200b😀'"),
        (json!("x\u{301}"), "'x\u{301}'"),
    ];
    for (value, text) in table {
        assert_eq!(repr(&value), text);
    }
    assert_eq!(ascii(&json!("é😀\u{e0001}")), "'\\xe9\\U0001f600\\U000e0001'");
    assert_eq!(to_str(&json!("plain")), "plain");
    assert_eq!(to_str(&json!(2.0)), "2.0");
}

#[test]
fn the_hashed_form_is_sorted_compact_and_ascii() {
    let value = json!({"b": [1, 2.0, true, null], "a": "é😀\u{7f}\"\\\n\u{1}", "A": {}});
    let hashed = "{\"A\":{},\"a\":\"\\u00e9\\ud83d\\ude00\\u007f\\\"\\\\\\n\\u0001\",\"b\":[1,2.0,true,null]}";
    assert_eq!(json_dumps(&value), hashed);
    assert_eq!(json_spaced(&json!({"b": [1, 2], "a": "é"})), "{\"b\": [1, 2], \"a\": \"é\"}");
    let pretty = json_pretty(&json!({"a": [1, {}], "b": []}), 2);
    assert_eq!(pretty.unwrap(), "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}");
    assert_eq!(json_pretty(&json!([1]), usize::MAX).unwrap_err().raise, Raise::MemoryError);
}

#[test]
fn only_empty_things_and_zeros_are_false() {
    for value in [json!(null), json!(false), json!(0), json!(0.0), json!(-0.0), json!(""), json!([]), json!({})] {
        assert!(!truthy(&value), "{value}");
    }
    for value in [json!(true), json!(-1), json!(0.5), json!("0"), json!([null]), json!({"": null})] {
        assert!(truthy(&value), "{value}");
    }
}

#[test]
fn numbers_of_every_type_are_equal_by_value() {
    assert!(equal(&json!(1), &json!(1.0)));
    assert!(equal(&json!(true), &json!(1.0)));
    assert!(equal(&json!([false, {"a": 1, "b": 2}]), &json!([0, {"b": 2.0, "a": true}])));
    assert!(!equal(&json!("1"), &json!(1)));
    assert!(!equal(&json!(null), &json!(false)));
    assert!(!equal(&json!(9_007_199_254_740_993_i64), &json!(9_007_199_254_740_992.0)));
}

#[test]
fn only_values_of_like_types_have_an_order() {
    assert_eq!(compare(&json!(9_007_199_254_740_993_i64), &json!(9_007_199_254_740_992.0)), Some(Ordering::Greater));
    assert_eq!(compare(&json!(-2), &json!(-1.5)), Some(Ordering::Less));
    assert_eq!(compare(&json!("Z"), &json!("a")), Some(Ordering::Less));
    assert_eq!(compare(&json!([1, [2]]), &json!([1.0, [2, 0]])), Some(Ordering::Less));
    assert_eq!(compare(&json!([null, 1]), &json!([null, 2])), Some(Ordering::Less));
    for (a, b) in
        [(json!(1), json!("1")), (json!(null), json!(null)), (json!({}), json!({})), (json!([1]), json!(["1"]))]
    {
        assert_eq!(compare(&a, &b), None, "{a} {b}");
    }
}

#[test]
fn texts_are_read_as_numbers_the_way_python_reads_them() {
    let floats = [(" 12 ", Some(12.0)), ("1_000.5", Some(1000.5)), ("1__0", None), ("_1", None), (".5", Some(0.5))];
    for (text, number) in floats {
        assert_eq!(parse_float(text), number, "{text}");
    }
    assert_eq!(parse_float("-Infinity"), Some(f64::NEG_INFINITY));
    for (text, number) in [("+5", Some(5)), ("-1_0", Some(-10)), ("1.0", None), ("", None), ("-", None)] {
        assert_eq!(parse_int(text), number, "{text}");
    }
    assert_eq!(parse_int("-99999999999999999999"), Some(i64::MIN));
    assert_eq!(to_int(&json!(-2.9)), Ok(-2));
    assert_eq!(to_float(&json!("abc")).unwrap_err().report(), "ValueError: could not convert string to float: 'abc'");
    let refusal = "TypeError: float() argument must be a string or a real number, not 'NoneType'";
    assert_eq!(to_float(&json!(null)).unwrap_err().report(), refusal);
}

#[test]
fn modulo_takes_the_sign_of_the_divisor() {
    for (a, b, rest) in [(-7.0, 3.0, 2.0), (7.0, -3.0, -2.0), (-6.0, 3.0, 0.0), (5.5, 2.0, 1.5)] {
        assert_eq!(floor_mod(a, b), Ok(rest));
    }
    assert!(floor_mod(1.0, 0.0).is_err());
}

#[test]
fn powers_that_have_no_float_are_refused() {
    assert_eq!(power(2.0, 10.0), Ok(1024.0));
    assert_eq!(power(0.0, -1.0).unwrap_err().raise, Raise::ZeroDivisionError);
    assert_eq!(power(10.0, 400.0).unwrap_err().raise, Raise::OverflowError);
    assert!(power(-8.0, 0.5).is_err());
}

#[test]
fn rounding_is_half_to_even_on_the_exact_value() {
    let table = [
        (2.675, 2, 2.67),
        (0.5, 0, 0.0),
        (1.5, 0, 2.0),
        (2.5, 0, 2.0),
        (0.125, 2, 0.12),
        (1250.0, -2, 1200.0),
        (1350.0, -2, 1400.0),
        (1250.5, -2, 1300.0),
        (99.0, -2, 100.0),
        (49.0, -2, 0.0),
        (1.25, 400, 1.25),
        (5e307, -400, 0.0),
    ];
    for (number, decimals, rounded) in table {
        assert_eq!(round_half_even(number, decimals), Ok(rounded), "{number} {decimals}");
    }
    assert_eq!(round_half_even(f64::MAX, -308).unwrap_err().raise, Raise::OverflowError);
}

#[test]
fn slices_count_code_points_and_never_fall_off() {
    let table = [(2, Some(-2), "cdé"), (-3, None, "éfg"), (0, Some(0), ""), (9, None, ""), (-99, Some(99), "abcdéfg")];
    for (start, end, part) in table {
        assert_eq!(slice("abcdéfg", start, end), part);
    }
    assert_eq!(slice("é", i64::MIN, Some(i64::MAX)), "é");
}

#[test]
fn format_follows_the_mini_language() {
    let values = json!({"x": 7, "y": "q", "f": 1_234.567, "n": null, "b": true, "big": 1_234_567, "l": ["é", 2],
        "d": {"k": {"z": 5}}, "w": 8, "neg": -5, "s": "añb"});
    let table = [
        ("{x:>4}|{y!r}", "   7|'q'"),
        ("{{{x}}}", "{7}"),
        ("{f:.2f} {f:10.1f}| {f:e} {f:g} {f:%}", "1234.57     1234.6| 1.234567e+03 1234.57 123456.700000%"),
        ("{big:,} {big:_} {big:015,} {big:x} {big:#X}", "1,234,567 1_234_567 000,001,234,567 12d687 0X12D687"),
        ("{b} {b:>5} {b:d} {n} {l} {l!a}", "True     1 1 None ['é', 2] ['\\xe9', 2]"),
        ("{neg:05d} {x:+} {x: } {x:*^7} {x:c}", "-0005 +7  7 ***7*** \u{7}"),
        ("{l[0]}{d[k][z]:>{w}}{s:.2}|{s:é<5}", "é       5añ|añbéé"),
        ("{f:.3} {f:,.1f} {f:#.0f} {f:09,.1f}", "1.23e+03 1,234.6 1235. 001,234.6"),
    ];
    let values = values.as_object().unwrap();
    for (template, text) in table {
        assert_eq!(str_format(template, values).as_deref(), Ok(text), "{template}");
    }
}

#[test]
fn format_refuses_what_python_refuses() {
    let values = json!({"x": 1, "s": "a", "n": null, "d": {"0": 1}, "l": [1]});
    let table = [
        ("{", Raise::ValueError),
        ("}", Raise::ValueError),
        ("{x", Raise::ValueError),
        ("{}", Raise::IndexError),
        ("{0}", Raise::IndexError),
        ("{gone}", Raise::KeyError),
        ("{d[0]}", Raise::KeyError),
        ("{l[1]}", Raise::IndexError),
        ("{l[a]}", Raise::TypeError),
        ("{x.real}", Raise::AttributeError),
        ("{s.__class__}", Raise::AttributeError),
        ("{n:>3}", Raise::TypeError),
        ("{s:d}", Raise::ValueError),
        ("{s:+}", Raise::ValueError),
        ("{x:.3d}", Raise::ValueError),
        ("{x!q}", Raise::ValueError),
        ("{x:{x:{x}}}", Raise::ValueError),
        ("{x:99999999999}", Raise::MemoryError),
        ("{x:.8388609f}", Raise::MemoryError),
        ("{x:>8388608}{x}", Raise::MemoryError),
    ];
    for (template, raise) in table {
        let problem = str_format(template, values.as_object().unwrap()).unwrap_err();
        assert_eq!(problem.raise, raise, "{template}: {problem}");
    }
}

#[test]
fn a_template_cannot_ask_for_work_without_end() {
    let values = json!({"s": "a".repeat(1024 * 1024)});
    let template = "{s!r:.0}".repeat(1_000);
    assert_eq!(str_format(&template, values.as_object().unwrap()).unwrap_err().raise, Raise::MemoryError);
}

#[test]
fn python_literals_are_read_as_json() {
    let table = [
        ("{'a': (1, 2.5, None), 'b': [True, False,],}", json!({"a": [1, 2.5, null], "b": [true, false]})),
        ("'a' \"b\" r'\\n'", json!("ab\\n")),
        ("'''x\ny'''", json!("x\ny")),
        ("'\\x41\\u00e9\\U0001F600\\101\\q\\'\\ud83d\\ude00'", json!("Aé😀A\\q'😀")),
        ("-0x1F", json!(-31)),
        ("1_000", json!(1000)),
        ("1e3", json!(1000.0)),
        ("(1)", json!(1)),
        ("(1,)", json!([1])),
        ("1, 2", json!([1, 2])),
        ("()", json!([])),
        ("{1: 2, None: 3}", json!({"1": 2, "None": 3})),
        ("# note\n18446744073709551615", json!(u64::MAX)),
        ("123456789012345678901234567890", json!(123_456_789_012_345_678_901_234_567_890.0)),
    ];
    for (text, value) in table {
        assert_eq!(parse_literal(text), Ok(value), "{text}");
    }
    let refused = [
        "",
        "[",
        "[,]",
        "1 2",
        "1+2",
        "f(1)",
        "null",
        "{1, 2}",
        "b'x'",
        "f'x'",
        "1j",
        "007",
        "'a\nb'",
        "'a",
        "{[1]: 2}",
        "'\\N{DASH}'",
        "0x",
        "1__0",
        "'\\U99999999'",
        "__import__('os')",
    ];
    for text in refused {
        assert!(parse_literal(text).is_err(), "{text}");
    }
}

#[test]
fn deep_literals_are_refused_and_deep_values_are_cut() {
    assert!(parse_literal(&"[".repeat(1_000_000)).is_err());
    assert!(parse_literal(&"(".repeat(1_000_000)).is_err());
    let mut deep = json!(1);
    for _ in 0..1_000 {
        deep = Value::Array(vec![deep]);
    }
    assert!(repr(&deep).contains("..."));
    assert!(!equal(&deep, &deep));
    assert_eq!(compare(&deep, &deep), None);
    assert!(json_dumps(&deep).len() <= 2 * RECURSION + 4);
    assert_eq!(fits(&deep).unwrap_err().raise, Raise::RecursionError);
}

#[test]
fn replacement_stops_at_the_limit() {
    let text = "a".repeat(4096);
    assert_eq!(replace(&text, "a", &text, None).unwrap_err().raise, Raise::MemoryError);
    assert_eq!(replace("aXbXc", "X", "--", Some(1)).unwrap(), "a--bXc");
}

/// Values of every type, nested a little, with texts that are awkward.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        "[-+]?[0-9_]{0,6}[.]?[0-9]{0,3}",
        "[{}\\[\\]!:.a0|'\"\n >^=,_#]{0,12}",
        "(\\{\\{ ?[a|. \n]{0,4} ?\\}\\}|日|\n){0,4}",
        Just("```json\n{\"a\": NaN}\n```".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-3_i64..12).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec(("[a-c0.]{0,3}|_x|name|type", inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn every_walker_takes_every_value(a in any_value(), b in any_value(), number in any::<f64>(), places in any::<i64>()) {
        let _ = (repr(&a), ascii(&a), truthy(&a), to_float(&a), to_int(&a), type_name(&a), fits(&a));
        prop_assert!(equal(&a, &a));
        prop_assert_eq!(equal(&a, &b), equal(&b, &a));
        prop_assert_eq!(compare(&a, &b), compare(&b, &a).map(Ordering::reverse));
        let _ = (round_half_even(number, places), floor_mod(number, places as f64), power(number, places as f64));
    }

    #[test]
    fn what_is_dumped_reads_back(value in any_value()) {
        for text in [json_dumps(&value), json_compact(&value), json_spaced(&value), json_pretty(&value, 3).unwrap()] {
            let back: Value = serde_json::from_str(&text).unwrap();
            prop_assert!(equal(&value, &back), "{}", text);
        }
    }

    #[test]
    fn a_repr_is_a_literal_of_the_same_value(value in any_value()) {
        prop_assert_eq!(parse_literal(&repr(&value)).unwrap(), value);
    }

    #[test]
    fn any_text_may_be_formatted_read_or_sliced(text in any::<String>(), start in any::<i64>(), end in any::<Option<i64>>()) {
        let _ = (parse_literal(&text), parse_float(&text), parse_int(&text), slice(&text, start, end), excerpt(&text));
        let _ = str_format(&text, &Object::new());
    }

    #[test]
    fn any_specification_is_followed_or_refused(value in any_value(), spec in "[<>=^*0é]{0,2}[-+ ]?z?#?0?[0-9]{0,3}[,_]?(\\.[0-9]{0,3})?[a-zA-Z%]?") {
        let values = Object::from_iter([("v".to_owned(), value)]);
        let _ = str_format(&format!("{{v:{spec}}}"), &values);
    }

    #[test]
    fn what_is_set_at_a_path_is_found_there(path in "[a-c]{1,2}([.][a-c0-2]{1,2}|\\[[0-9]\\]){0,4}", root in any_value(), value in any_value()) {
        let mut object = root.as_object().cloned().unwrap_or_default();
        let path = Path::parse(&path).unwrap();
        path.set_in(&mut object, value.clone());
        prop_assert_eq!(path.get_in(&object), Some(&value));
    }
}
