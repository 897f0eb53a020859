//! Arithmetic and chance.

use super::*;

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
