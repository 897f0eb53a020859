//! Schedules: the small flow that is generated for each, and the intervals that it sleeps.

use crate::State;
use domain::{Object, Source, Time, WorkflowId};
use serde_json::{Value, json};

/// How workflow ids of schedules begin.
pub const PREFIX: &str = "scheduled:";
/// The node at which a schedule sleeps between executions.
pub const WAIT_INTERVAL: &str = "wait_interval";
/// Executions of one finite schedule.
pub const EXECUTIONS: u64 = 10_000;

/// What a schedule is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The workflow to start each time.
    pub target: WorkflowId,
    /// When to start first: an ISO time or a relative duration; none means at once.
    pub start_at: Option<String>,
    /// How long to sleep in between; none means one execution.
    pub interval: Option<String>,
    /// How often; none with an interval means for ever.
    pub repeat_count: Option<u64>,
    /// Gives each execution a session of its own, `<prefix>:<index>`; none shares the schedule's.
    pub session_prefix: Option<String>,
}

/// The flow of a schedule, under the given id.
pub fn document(id: &WorkflowId, plan: &Plan) -> Value {
    let first = plan.start_at.as_deref().filter(|start| !start.eq_ignore_ascii_case("now")).unwrap_or("0s");
    let mut build = Build {
        nodes: vec![node("start", "on_flow_start", 0.0, json!([]), json!([exec("exec-out")]))],
        edges: Vec::new(),
    };
    match &plan.interval {
        Some(interval) => build.recurrent(plan, first, interval),
        None => build.once(plan, first),
    }
    json!({"id": id.as_str(), "name": "scheduled", "nodes": build.nodes, "edges": build.edges, "entryNode": "start"})
}

struct Build {
    nodes: Vec<Value>,
    edges: Vec<Value>,
}

impl Build {
    fn edge(&mut self, id: &str, source: (&str, &str), target: (&str, &str)) {
        let edge = json!({
            "id": id,
            "source": source.0,
            "sourceHandle": source.1,
            "target": target.0,
            "targetHandle": target.1,
        });
        self.edges.push(edge);
    }

    fn once(&mut self, plan: &Plan, first: &str) {
        self.nodes.push(wait("wait_start", "Wait (start)", first, -40.0));
        self.nodes.push(target(plan));
        self.nodes.push(end());
        self.edge("e1", ("start", "exec-out"), ("wait_start", "exec-in"));
        self.edge("d_vars", ("start", "vars"), ("run_target", "vars"));
        self.edge("e2", ("wait_start", "exec-out"), ("run_target", "exec-in"));
        self.edge("e3", ("run_target", "exec-out"), ("end", "exec-in"));
        self.session(plan, None);
    }

    fn recurrent(&mut self, plan: &Plan, first: &str, interval: &str) {
        // An endless schedule is a loop that nobody lives to see the end of: `while` with a constant condition would
        // meet the limit on passes, so the recurrent wait itself is the loop.
        match plan.repeat_count {
            Some(count) => {
                self.nodes.push(repeat(count));
                self.edge("e1", ("start", "exec-out"), ("repeat", "exec-in"));
                self.edge("e2", ("repeat", "loop"), ("pick_wait", "exec-in"));
                self.finite(plan, first, interval);
            }
            None => self.endless(plan, first, interval),
        }
    }

    fn finite(&mut self, plan: &Plan, first: &str, interval: &str) {
        self.nodes.push(is_first());
        self.nodes.push(pick_wait());
        self.nodes.push(wait("wait_start", "Wait (start)", first, -40.0));
        self.nodes.push(wait(WAIT_INTERVAL, "Wait (interval)", interval, 40.0));
        self.nodes.push(target(plan));
        self.nodes.push(end());
        self.edge("e3", ("repeat", "index"), ("is_first", "a"));
        self.edge("e4", ("is_first", "result"), ("pick_wait", "condition"));
        self.edge("e5", ("pick_wait", "true"), ("wait_start", "exec-in"));
        self.edge("e6", ("pick_wait", "false"), (WAIT_INTERVAL, "exec-in"));
        self.edge("e9", ("repeat", "done"), ("end", "exec-in"));
        self.edge("d_vars", ("start", "vars"), ("run_target", "vars"));
        self.edge("e7", ("wait_start", "exec-out"), ("run_target", "exec-in"));
        self.edge("e8", (WAIT_INTERVAL, "exec-out"), ("run_target", "exec-in"));
        self.session(plan, Some("repeat"));
    }

    fn endless(&mut self, plan: &Plan, first: &str, interval: &str) {
        self.nodes.push(wait("wait_start", "Wait (start)", first, -40.0));
        self.nodes.push(wait(WAIT_INTERVAL, "Wait (interval)", interval, 40.0));
        self.nodes.push(target(plan));
        self.edge("e1", ("start", "exec-out"), ("wait_start", "exec-in"));
        self.edge("d_vars", ("start", "vars"), ("run_target", "vars"));
        self.edge("e2", ("wait_start", "exec-out"), ("run_target", "exec-in"));
        self.edge("e3", ("run_target", "exec-out"), (WAIT_INTERVAL, "exec-in"));
        self.edge("e4", (WAIT_INTERVAL, "exec-out"), ("run_target", "exec-in"));
        self.session(plan, Some("count"));
    }

    /// Sessions of their own: the prefix and the number of the pass, joined by a colon.
    fn session(&mut self, plan: &Plan, index: Option<&str>) {
        let Some(prefix) = &plan.session_prefix else { return };
        let pins = json!([data("a", "string"), data("b", "any")]);
        let mut join = node("child_session", "concat", 620.0, pins, json!([data("result", "string")]));
        join["data"]["concatConfig"] = json!({"separator": ":"});
        join["data"]["pinDefaults"] = json!({"a": prefix, "b": 0});
        self.nodes.push(join);
        self.edge("d_session", ("child_session", "result"), ("run_target", "child_session_id"));
        match index {
            Some("repeat") => self.edge("d_index", ("repeat", "index"), ("child_session", "b")),
            Some(_) => self.count(),
            None => {}
        }
    }

    /// An endless schedule counts its passes in a variable.
    fn count(&mut self) {
        let mut get = node("pass", "get_var", 420.0, json!([data("name", "string")]), json!([data("value", "number")]));
        get["data"]["pinDefaults"] = json!({"name": "passes"});
        let mut or_zero = node(
            "pass_or_zero",
            "coalesce",
            470.0,
            json!([data("a", "any"), data("b", "any")]),
            json!([data("result", "any")]),
        );
        or_zero["data"]["pinDefaults"] = json!({"b": 0});
        let mut next = node(
            "next_pass",
            "add",
            520.0,
            json!([data("a", "number"), data("b", "number")]),
            json!([data("result", "number")]),
        );
        next["data"]["pinDefaults"] = json!({"b": 1});
        let mut whole = node(
            "whole_pass",
            "format",
            570.0,
            json!([data("template", "string"), data("values", "object")]),
            json!([data("result", "string")]),
        );
        whole["data"]["pinDefaults"] = json!({"template": "{n:.0f}"});
        let values =
            node("pass_values", "make_object", 545.0, json!([data("n", "number")]), json!([data("result", "object")]));
        let mut set = node(
            "count_pass",
            "set_var",
            720.0,
            json!([exec("exec-in"), data("name", "string"), data("value", "number")]),
            json!([exec("exec-out")]),
        );
        set["data"]["pinDefaults"] = json!({"name": "passes"});
        self.nodes.extend([get, or_zero, next, values, whole, set]);
        self.edge("d_pass", ("pass", "value"), ("pass_or_zero", "a"));
        self.edge("d_next", ("pass_or_zero", "result"), ("next_pass", "a"));
        self.edge("d_set", ("next_pass", "result"), ("count_pass", "value"));
        self.edge("d_values", ("pass_or_zero", "result"), ("pass_values", "n"));
        self.edge("d_whole", ("pass_values", "result"), ("whole_pass", "values"));
        self.edge("d_index", ("whole_pass", "result"), ("child_session", "b"));
        // The count moves on after the target has started with the current one.
        for edge in &mut self.edges {
            if edge["source"] == "run_target" && edge["target"] == WAIT_INTERVAL {
                edge["target"] = json!("count_pass");
            }
        }
        self.edge("e5", ("count_pass", "exec-out"), (WAIT_INTERVAL, "exec-in"));
    }
}

fn exec(id: &str) -> Value {
    json!({"id": id, "label": "", "type": "execution"})
}

fn data(id: &str, kind: &str) -> Value {
    json!({"id": id, "label": id, "type": kind})
}

fn node(id: &str, kind: &str, x: f64, inputs: Value, outputs: Value) -> Value {
    json!({
        "id": id,
        "type": kind,
        "position": {"x": x, "y": 0.0},
        "data": {"nodeType": kind, "label": label(id), "inputs": inputs, "outputs": outputs},
    })
}

fn label(id: &str) -> &str {
    match id {
        "start" => "On Flow Start",
        "repeat" => "Repeat",
        "is_first" => "Compare",
        "pick_wait" => "If",
        "run_target" => "Run workflow",
        "end" => "On Flow End",
        other => other,
    }
}

fn repeat(count: u64) -> Value {
    let inputs = json!([exec("exec-in"), data("start", "number"), data("end", "number"), data("step", "number")]);
    let named = |id: &str| json!({"id": id, "label": id, "type": "execution"});
    let mut repeat =
        node("repeat", "for", 220.0, inputs, json!([named("loop"), named("done"), data("index", "number")]));
    repeat["data"]["pinDefaults"] = json!({"start": 0, "end": count, "step": 1});
    repeat
}

fn is_first() -> Value {
    let inputs = json!([data("a", "number"), data("b", "number"), data("op", "string")]);
    let mut first = node("is_first", "compare", 420.0, inputs, json!([data("result", "boolean")]));
    first["position"]["y"] = json!(-70.0);
    first["data"]["pinDefaults"] = json!({"b": 0, "op": "=="});
    first
}

fn pick_wait() -> Value {
    let named = |id: &str| json!({"id": id, "label": id, "type": "execution"});
    node(
        "pick_wait",
        "if",
        420.0,
        json!([exec("exec-in"), data("condition", "boolean")]),
        json!([named("true"), named("false")]),
    )
}

fn wait(id: &str, label: &str, schedule: &str, y: f64) -> Value {
    let data = json!({
        "nodeType": "on_schedule",
        "label": label,
        "eventConfig": {"schedule": schedule, "recurrent": false},
        "inputs": [exec("exec-in")],
        "outputs": [exec("exec-out")],
    });
    json!({"id": id, "type": "on_schedule", "position": {"x": 620.0, "y": y}, "data": data})
}

fn target(plan: &Plan) -> Value {
    let data = json!({
        "nodeType": "subflow",
        "label": label("run_target"),
        "subflowId": plan.target.as_str(),
        "inputs": [exec("exec-in")],
        "outputs": [],
    });
    json!({"id": "run_target", "type": "subflow", "position": {"x": 820.0, "y": 0.0}, "data": data})
}

fn end() -> Value {
    node("end", "on_flow_end", 1040.0, json!([exec("exec-in")]), json!([]))
}

/// Microseconds of a duration such as `15m` or `250ms`; none for any other text.
pub fn interval_micros(text: &str) -> Option<i64> {
    let text = text.trim().to_lowercase();
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (amount, unit) = text.split_at(split);
    let micros = match unit {
        "ms" => 1e3,
        "s" => 1e6,
        "m" => 60e6,
        "h" => 3600e6,
        "d" => 86_400e6,
        _ => return None,
    };
    let amount = amount.trim();
    let plain = !amount.is_empty() && amount.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let amount: f64 = plain.then(|| amount.parse().ok()).flatten()?;
    #[expect(clippy::cast_possible_truncation, reason = "a float to integer cast saturates")]
    Some((amount * micros).round() as i64)
}

/// Changes the interval of a schedule, in its flow and in what clients read of it.
pub(crate) fn set_interval(state: &mut State, interval: &str, now: Time) {
    if let Source::Inline { document } = &mut state.source {
        let nodes = document.get_mut("nodes").and_then(Value::as_array_mut);
        let wait =
            nodes.into_iter().flatten().find(|node| node.get("id").and_then(Value::as_str) == Some(WAIT_INTERVAL));
        if let Some(config) = wait.and_then(|wait| wait.pointer_mut("/data/eventConfig")).and_then(Value::as_object_mut)
        {
            config.insert("schedule".to_owned(), json!(interval));
        }
    }
    let meta = state.vars.get_mut("_meta").and_then(|meta| meta.get_mut("schedule")).and_then(Value::as_object_mut);
    if let Some(schedule) = meta {
        schedule.insert("interval".to_owned(), json!(interval));
        schedule.insert("updated_at".to_owned(), json!(now.to_string()));
    }
}

/// The `_meta.schedule` object that clients read.
pub fn meta(plan: &Plan, details: Object) -> Object {
    let mut schedule = Object::new();
    schedule.insert("kind".to_owned(), json!("scheduled_run"));
    schedule.insert("interval".to_owned(), json!(plan.interval));
    schedule.insert("repeat_count".to_owned(), json!(plan.repeat_count));
    schedule.extend(details);
    schedule
}
