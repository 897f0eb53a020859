//! What every node keeps to, whatever it is given.

use super::*;

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
