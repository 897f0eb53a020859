//! Whatever is sent: an answer, never a panic, and nothing passes that was not declared.

use super::field::object_schema;
use super::*;
use crate::operation::BodyKind;
use crate::routes::operations;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        ".{0,12}".prop_map(Value::from),
        prop_oneof![Just("1"), Just("-1"), Just("true"), Just("1e400"), Just("inf"), Just("")].prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z_$]{1,8}", inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// Every declared body, with its fields and whether it is closed.
fn bodies() -> Vec<(&'static [Field], bool)> {
    let declared = operations().into_iter().filter_map(|operation| match operation.body {
        BodyKind::Json { fields, closed, .. } => Some((fields, closed)),
        BodyKind::Document { fields, .. } => Some((fields, false)),
        BodyKind::Form { .. } | BodyKind::None => None,
    });
    declared.collect()
}

proptest! {
    #[test]
    fn the_scan_lets_through_only_what_parses(text in "[\\[\\]{}:,\"\\\\u0-9a-f.eE+\\- tn\u{e9}\u{1}]{0,24}") {
        let parsed = serde_json::from_str::<Value>(&text);
        match scan(&text) {
            // What is left to the parser: numbers beyond every type, and halves of surrogate pairs.
            Ok(()) => prop_assert!(parsed.is_ok() || text.contains(['e', 'E']) || text.contains("\\u"), "{text}"),
            Err(flaw) => {
                prop_assert!(parsed.is_err(), "{text}: {flaw:?}");
                prop_assert!(flaw.offset <= text.chars().count());
            }
        }
    }

    #[test]
    fn a_checked_body_holds_declared_fields_of_declared_types(values in prop::collection::vec(any_json(), 12)) {
        for (fields, closed) in bodies() {
            let given: Object =
                fields.iter().zip(&values).map(|(field, value)| (field.name.to_owned(), value.clone())).collect();
            let text = Bytes::from(Value::Object(given).to_string());
            let Ok(checked) = read_object(&HeaderMap::new(), &text, fields, closed) else { continue };
            for (name, value) in &checked {
                let field = fields.iter().find(|field| field.name == name);
                prop_assert!(field.is_some_and(|field| fits(field, value)), "{name}: {value}");
            }
        }
    }

    #[test]
    fn any_query_string_is_answered(query in ".{0,40}") {
        for operation in operations() {
            if let Ok(read) = read_query(Some(&query), operation.query) {
                prop_assert!(operation.query.iter().all(|field| read.get(field.name).is_none_or(|value| fits(field, value))));
            }
        }
    }
}

fn fits(field: &Field, value: &Value) -> bool {
    if value.is_null() {
        return field.nullable;
    }
    match field.kind {
        Kind::Text | Kind::File => value.is_string(),
        Kind::Integer { min, max } => value
            .as_i64()
            .is_some_and(|number| min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max)),
        Kind::Number { above, max } => value.as_f64().is_some_and(|number| number > above && number <= max),
        Kind::Amount { min, max } => value.as_f64().is_some_and(|number| number >= min && number <= max),
        Kind::Any => true,
        Kind::Flag => value.is_boolean(),
        Kind::FlagOrText => value.is_boolean() || value.is_string(),
        Kind::Object => value.is_object(),
        Kind::Texts => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
        Kind::Record(fields) => fields.iter().all(|field| value.get(field.name).is_none_or(|value| fits(field, value))),
        Kind::List(fields) | Kind::Records(fields) => value.as_array().is_some_and(|items| {
            items
                .iter()
                .all(|item| fields.iter().all(|field| item.get(field.name).is_none_or(|value| fits(field, value))))
        }),
    }
}

#[test]
fn every_declared_default_is_one_that_its_field_takes() {
    let forms = operations().into_iter().flat_map(|operation| {
        let body = match operation.body {
            BodyKind::Json { fields, .. } | BodyKind::Document { fields, .. } | BodyKind::Form { fields, .. } => fields,
            BodyKind::None => &[],
        };
        assert!(object_schema(body, false)["properties"].is_object());
        [operation.query, body].concat()
    });
    for field in forms {
        let default = field.default.map(|text| serde_json::from_str::<Value>(text).unwrap());
        assert!(default.is_none_or(|value| fits(&field, &value)), "{}", field.name);
    }
}
