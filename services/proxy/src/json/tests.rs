//! The scanner agrees with a full parser, and a splice changes what it names and nothing else.

use super::{Change, Peek, Pieces, find};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 4.0)),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map("[a-z\"\\\\é]{0,6}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn request() -> impl Strategy<Value = Value> {
    (
        proptest::collection::btree_map("[a-k\"\\\\]{0,6}", json(), 0..6),
        proptest::option::of(".{0,10}"),
        proptest::option::of(any::<bool>()),
        proptest::option::of(json()),
    )
        .prop_map(|(rest, model, stream, options)| {
            let mut object: serde_json::Map<String, Value> = rest.into_iter().collect();
            let named =
                [("model", model.map(Value::from)), ("stream", stream.map(Value::from)), ("stream_options", options)];
            object.extend(named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
            Value::Object(object)
        })
}

fn spliced(body: &str, edits: Vec<super::Edit>) -> Value {
    let pieces = Pieces::spliced(&Bytes::copy_from_slice(body.as_bytes()), edits);
    serde_json::from_slice(&pieces.joined()).expect("a splice leaves JSON behind")
}

proptest! {
    #[test]
    fn what_a_peek_sees_is_what_a_parser_sees(value in request(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
        let peek = Peek::of(text.as_bytes()).unwrap();
        prop_assert_eq!(peek.model.as_deref(), value["model"].as_str());
        prop_assert_eq!(peek.stream, value["stream"] == json!(true));
        prop_assert_eq!(peek.wants_usage, value["stream_options"]["include_usage"] == json!(true));
    }

    #[test]
    fn a_splice_changes_the_model_the_usage_option_and_the_id_and_nothing_else(value in request(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
        let peek = Peek::of(text.as_bytes()).unwrap();
        let id = Some(("rid", "r\"1"));
        let edits = peek.edits(&Change { model: Some("néw \"one\""), ask_usage: true, ask_floats: false, id });
        let mut wanted = value.clone();
        wanted["rid"] = json!("r\"1");
        wanted["model"] = json!("néw \"one\"");
        if !wanted["stream_options"].is_object() {
            wanted["stream_options"] = json!({});
        }
        wanted["stream_options"]["include_usage"] = json!(true);
        prop_assert_eq!(spliced(&text, edits), wanted);
    }

    #[test]
    fn no_text_whatever_makes_the_scanner_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Peek::of(&text);
    }

    #[test]
    fn no_damaged_request_makes_the_scanner_panic(value in request(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = value.to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        let _ = Peek::of(&text);
        let _ = Peek::of(&text[..at]);
    }
}

#[test]
fn a_key_that_decides_the_route_may_come_only_once_however_it_is_escaped() {
    assert!(find(br#"{"model":"a","mod\u0065l":"b"}"#, ["model"]).is_err());
    assert!(find(br#"{"model":"a","x":{"model":"b"}}"#, ["model"]).is_ok());
}

#[test]
fn a_body_that_is_no_object_says_where_it_goes_wrong() {
    for (text, wanted) in [
        ("", "expected '{' at byte 0"),
        ("[]", "expected '{' at byte 0"),
        (r#"{"a":1"#, "expected ',' or '}' at byte 6"),
        (r#"{"a":[1}"#, "brackets do not match at byte 7"),
        (r#"{"a":"x"#, "unterminated string at byte 5"),
        (r#"{"a":nul}"#, "not a value at byte 5"),
        (r"{} x", "text behind the object at byte 3"),
        (r#"{"a":1,}"#, "expected '\"' at byte 7"),
    ] {
        assert_eq!(Peek::of(text.as_bytes()).unwrap_err().to_string(), wanted, "{text}");
    }
}

#[test]
fn a_document_nested_without_end_is_refused() {
    let text = format!(r#"{{"a":{}"#, "[".repeat(100_000));
    assert_eq!(Peek::of(text.as_bytes()).unwrap_err().to_string(), "nested too deep at byte 133");
}
