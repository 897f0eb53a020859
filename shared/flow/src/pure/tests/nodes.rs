//! Envelopes, reports, variables, literals and the moment.

use super::*;

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
