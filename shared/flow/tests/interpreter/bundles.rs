//! Bundles that are read, and bundles that are refused with a reason.

use flow::bundle::{input_schema, node_index};
use flow::{Bundle, BundleError, Library};
use serde_json::{Value, json};
use std::io::{Cursor, Write};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn pack(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, bytes) in files {
        zip.start_file(*path, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn manifest() -> Value {
    json!({
        "bundle_format_version": "1", "bundle_id": "fix", "bundle_version": "0.1.0", "created_at": "2026-01-08",
        "entrypoints": [{"flow_id": "echo", "interfaces": ["abstractcode.agent.v1"]}],
        "default_entrypoint": "echo", "flows": {"echo": "flows/echo.json"}, "metadata": {"a": 1},
    })
}

fn echo() -> Value {
    json!({"id": "echo", "entryNode": "start", "nodes": [
        {"id": "start", "type": "on_flow_start", "data": {
            "label": "Start",
            "outputs": [{"id": "exec-out", "type": "execution"}, {"id": "prompt", "label": "prompt", "type": "string"}],
            "pinDefaults": {"prompt": "hi"},
        }},
        {"id": "sub", "type": "subflow", "data": {"subflowId": "echo"}},
    ], "edges": []})
}

fn read(manifest: &Value, flow: &Value) -> Result<Bundle, BundleError> {
    let (manifest, flow) = (manifest.to_string(), flow.to_string());
    Bundle::read(&pack(&[("manifest.json", manifest.as_bytes()), ("flows/echo.json", flow.as_bytes())]))
}

fn with(key: &str, value: Value) -> Value {
    let mut manifest = manifest();
    manifest[key] = value;
    manifest
}

#[test]
fn a_bundle_tells_what_it_offers() {
    let bundle = read(&manifest(), &echo()).unwrap();
    assert_eq!(bundle.reference().to_string(), "fix@0.1.0");
    assert_eq!(bundle.manifest.default_flow(), Some("echo"));
    assert_eq!(bundle.manifest.entrypoints[0].name, "echo");
    assert_eq!(bundle.sha256.len(), 64);
    let flow = bundle.flow("echo").unwrap();
    let schema = Value::Object(input_schema(flow));
    let pin = json!({"type": "string", "x-abstract-type": "string", "default": "hi"});
    assert_eq!(
        schema["inputs"],
        json!([
            {"id": "prompt", "label": "prompt", "type": "string", "default": "hi", "required": false, "schema": pin},
        ])
    );
    assert_eq!(schema["input_data_schema"]["properties"]["prompt"], pin);
    assert_eq!(node_index(flow)["start"], json!({"type": "on_flow_start", "label": "Start"}));
    let shown = bundle.namespaced("echo", flow);
    assert_eq!(
        (&shown["id"], &shown["nodes"][1]["data"]["subflowId"]),
        (&json!("fix@0.1.0:echo"), &json!("fix@0.1.0:echo"))
    );
    assert!(Library::compile(&bundle).unwrap().get(&"fix@0.1.0:echo".into()).is_some());
}

#[test]
fn camel_case_keys_are_taken_too() {
    let manifest = json!({
        "bundleFormatVersion": "1", "bundleId": "fix", "bundleVersion": "2", "createdAt": "x",
        "entrypoints": [{"flowId": "echo"}, 7], "defaultEntrypoint": "echo", "flows": {"echo": "flows/echo.json"},
    });
    let bundle = read(&manifest, &echo()).unwrap();
    assert_eq!(bundle.reference().to_string(), "fix@2");
    assert_eq!(bundle.manifest.created_at, "x");
}

#[test]
fn a_manifest_that_breaks_a_rule_is_refused() {
    let cases = [
        ("bundle_format_version", json!("2")),
        ("bundle_id", json!("")),
        ("bundle_id", json!("a/b")),
        ("bundle_version", json!("1/2")),
        ("entrypoints", json!([])),
        ("entrypoints", json!([{"flow_id": "echo"}, {"flow_id": "echo"}])),
        ("entrypoints", json!([{"flow_id": "other"}])),
        ("default_entrypoint", json!("other")),
        ("flows", json!({})),
        ("flows", json!({"echo": "../echo.json"})),
        ("flows", json!({"echo": "/etc/passwd"})),
        ("flows", json!({"echo": "C:\\echo.json"})),
        ("flows", json!({"echo": "flows/missing.json"})),
        ("assets", json!({"a": "a//b"})),
    ];
    for (key, value) in cases {
        assert!(read(&with(key, value.clone()), &echo()).is_err(), "{key}: {value}");
    }
}

#[test]
fn files_that_are_no_bundles_are_refused() {
    assert!(matches!(Bundle::read(b"not a zip"), Err(BundleError::NotZip(_))));
    assert!(matches!(Bundle::read(&pack(&[])), Err(BundleError::Missing { .. })));
    assert!(matches!(Bundle::read(&pack(&[("manifest.json", b"{")])), Err(BundleError::File { .. })));
    assert!(matches!(Bundle::read(&pack(&[("manifest.json", b"\xff")])), Err(BundleError::File { .. })));
    assert!(matches!(Bundle::read(&pack(&[("../manifest.json", b"{}")])), Err(BundleError::File { .. })));
}

#[test]
fn a_document_that_nests_too_deep_is_refused_before_it_is_parsed() {
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let text = manifest().to_string();
    let bytes = pack(&[("manifest.json", text.as_bytes()), ("flows/echo.json", deep.as_bytes())]);
    assert!(matches!(Bundle::read(&bytes), Err(BundleError::File { reason, .. }) if reason.contains("100 levels")));
}

#[test]
fn a_zip_bomb_is_refused() {
    let zeros = vec![b' '; 20 * 1024 * 1024];
    let text = manifest().to_string();
    let bytes = pack(&[("manifest.json", text.as_bytes()), ("flows/echo.json", &zeros)]);
    assert!(bytes.len() < 100_000, "it is a small file");
    assert!(matches!(Bundle::read(&bytes), Err(BundleError::File { reason, .. }) if reason.contains("more than")));
}

#[test]
fn a_file_that_appears_twice_is_refused() {
    let (text, flow) = (manifest().to_string(), echo().to_string());
    let mut bytes = pack(&[
        ("manifest.json", text.as_bytes()),
        ("flows/echo.json", flow.as_bytes()),
        ("flows/ecco.json", flow.as_bytes()),
    ]);
    let at = |bytes: &[u8]| bytes.windows(15).position(|window| window == b"flows/ecco.json");
    while let Some(place) = at(&bytes) {
        bytes[place..place + 15].copy_from_slice(b"flows/echo.json");
    }
    assert!(matches!(Bundle::read(&bytes), Err(BundleError::NotZip(reason)) if reason.contains("same name")));
}

#[test]
fn any_damage_to_a_bundle_gives_an_error_or_a_bundle_and_never_a_panic() {
    let (text, flow) = (manifest().to_string(), echo().to_string());
    let whole = pack(&[("manifest.json", text.as_bytes()), ("flows/echo.json", flow.as_bytes())]);
    for place in 0..whole.len() {
        for flip in [1_u8, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[place] ^= flip;
            if let Ok(bundle) = Bundle::read(&bytes) {
                let _ = Library::compile(&bundle);
            }
        }
        let _ = Bundle::read(&whole[..place]);
    }
}
