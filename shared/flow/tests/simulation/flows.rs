//! The flows of the simulated runs.

use flow::Library;
use serde_json::{Value, json};

fn document(nodes: &Value, edges: &[&str]) -> Value {
    let edge = |edge: &&str| {
        let (from, to) = edge.split_once('>').unwrap();
        let ((source, handle), (target, pin)) = (from.split_once('.').unwrap(), to.split_once('.').unwrap());
        json!({"source": source, "sourceHandle": handle, "target": target, "targetHandle": pin})
    };
    json!({"entryNode": "start", "nodes": nodes, "edges": edges.iter().map(edge).collect::<Vec<_>>()})
}

fn node(id: &str, kind: &str, data: Value, pins: &[&str]) -> Value {
    let mut data = data;
    let mut inputs = vec![json!({"id": "exec-in", "type": "execution"})];
    inputs.extend(pins.iter().map(|pin| json!({"id": pin, "type": "any"})));
    data["inputs"] = json!(inputs);
    json!({"id": id, "type": kind, "data": data})
}

/// A loop over a child that asks a person, a model call, an event and a delay; beside it a listener.
pub(crate) fn library() -> Library {
    let main = document(
        &json!([
            node("start", "on_flow_start", json!({}), &[]),
            node("for", "for", json!({"pinDefaults": {"start": 0, "end": 2}}), &[]),
            node(
                "sub",
                "subflow",
                json!({"subflowId": "child", "outputs": [{"id": "response", "type": "any"}]}),
                &["n"]
            ),
            node("llm", "llm_call", json!({}), &["prompt"]),
            node("emit", "emit_event", json!({"pinDefaults": {"name": "tick"}}), &["name"]),
            node("wait", "wait_until", json!({"pinDefaults": {"duration": 1}}), &["duration"]),
            node("end", "on_flow_end", json!({}), &["text"]),
            node("on", "on_event", json!({"eventConfig": {"name": "tick"}}), &[]),
            node("say", "answer_user", json!({"pinDefaults": {"message": "heard"}}), &["message"]),
        ]),
        &[
            "start.exec-out>for.exec-in",
            "for.loop>sub.exec-in",
            "for.done>end.exec-in",
            "sub.exec-out>llm.exec-in",
            "llm.exec-out>emit.exec-in",
            "emit.exec-out>wait.exec-in",
            "for.i>sub.n",
            "sub.response>llm.prompt",
            "llm.response>end.text",
            "on.exec-out>say.exec-in",
        ],
    );
    let child = document(
        &json!([
            node("start", "on_flow_start", json!({}), &[]),
            node("ask", "ask_user", json!({"pinDefaults": {"prompt": "which?"}}), &["prompt"]),
            node("end", "on_flow_end", json!({}), &["response"]),
        ]),
        &["start.exec-out>ask.exec-in", "ask.exec-out>end.exec-in", "ask.response>end.response"],
    );
    Library::from_documents([(&"main".into(), &main), (&"child".into(), &child)]).unwrap()
}
