//! Every recorded error shape becomes one shape.

use super::{ALL, inside_success, kind, read_refusal};
use http::StatusCode;
use serde_json::json;

#[test]
fn every_kind_is_found_by_its_name_and_names_are_distinct() {
    for one in ALL {
        assert!(std::ptr::eq(kind(one.name).unwrap(), one), "{}", one.title);
    }
    assert!(kind("nonsense").is_none());
}

#[test]
fn every_recorded_error_body_gives_its_message_and_a_code_of_text() {
    let recorded = [
        ("vllm", r#"{"error":{"message":"m","type":"BadRequestError","param":null,"code":400}}"#, Some("400")),
        (
            "vllm, older",
            r#"{"object":"error","message":"m","type":"BadRequestError","param":null,"code":400}"#,
            Some("400"),
        ),
        ("llamacpp", r#"{"error":{"code":503,"message":"m","type":"unavailable_error"}}"#, Some("503")),
        ("ollama", r#"{"error":{"message":"m","type":"api_error","param":null,"code":null}}"#, None),
        ("ollama, native", r#"{"error":"m"}"#, None),
        ("tgi", r#"{"error":"m","error_type":"overloaded"}"#, None),
        ("fastapi", r#"{"detail":"m"}"#, None),
        ("anthropic", r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#, None),
        ("text", "m", None),
    ];
    for (name, body, code) in recorded {
        let refusal = read_refusal("one", StatusCode::BAD_REQUEST, body.as_bytes(), None);
        assert_eq!(refusal.message, "m", "{name}");
        assert_eq!(refusal.code.as_deref(), code, "{name}");
    }
}

#[test]
fn a_page_or_nothing_becomes_a_message_that_names_the_backend() {
    for body in ["", "<html>bad gateway</html>"] {
        let refusal = read_refusal("one", StatusCode::BAD_GATEWAY, body.as_bytes(), None);
        assert_eq!(refusal.message, "backend 'one' answered 502 Bad Gateway");
    }
}

#[test]
fn an_error_inside_a_success_has_the_status_of_its_code_or_else_of_its_type() {
    for (value, status) in [
        (json!({"error": {"message": "m", "code": 400}}), Some(400)),
        (json!({"error": {"message": "m", "code": "429"}}), Some(429)),
        (json!({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}), Some(529)),
        (json!({"type": "error", "error": {"type": "invalid_request_error", "message": "m"}}), Some(400)),
        (json!({"error": "m", "error_type": "validation"}), Some(422)),
        (json!({"error": "m"}), Some(500)),
        (json!({"error": {"message": "m", "code": 200}}), Some(500)),
        // The key that it refuses is ours.
        (json!({"error": {"message": "m", "code": 401}}), Some(502)),
        (json!({"error": {"type": "authentication_error", "message": "m"}}), Some(502)),
        (json!({"error": null, "choices": []}), None),
        (json!({"choices": []}), None),
    ] {
        assert_eq!(inside_success(&value).map(|status| status.as_u16()), status, "{value}");
    }
}
