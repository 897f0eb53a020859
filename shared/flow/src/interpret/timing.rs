//! Delays and schedules: `wait_until` and `on_schedule`.

use super::effects::{Announced, Outcome};
use super::machine::Machine;
use super::plan::{Plan, effect, successor, text_of};
use super::pull::Ambient;
use crate::Effect;
use crate::compile::Node;
use crate::py::{Exception, to_float, truthy};
use crate::schedule::interval_micros;
use domain::{Object, Time, Wait, WaitReason};
use serde_json::{Value, json};

impl Machine<'_> {
    pub(super) fn wait_until(&mut self, node: &Node) -> Result<Plan, Exception> {
        let inputs = self.pull(node, Ambient::Of(&["duration"]))?;
        let config = node.config("effectConfig");
        let setting = |key: &str| config.and_then(|config| config.get(key)).filter(|value| !value.is_null());
        let duration = inputs.get("duration").filter(|value| !value.is_null()).or_else(|| setting("duration"));
        let kind = setting("durationType").and_then(Value::as_str).unwrap_or("seconds").trim().to_lowercase();
        let now = self.world.now;
        let until = match kind.as_str() {
            "timestamp" => moment(&text_of(&inputs, "duration", ""))?,
            "minutes" => after(now, duration, 60.0)?,
            "hours" => after(now, duration, 3600.0)?,
            _ => after(now, duration, 1.0)?,
        };
        let next = successor(node);
        let mut payload = Object::new();
        payload.insert("type".to_owned(), json!("wait_until"));
        payload.insert("until".to_owned(), json!(until.to_string()));
        payload.insert("resume_to_node".to_owned(), json!(next.map(|next| self.world.flow.name(next))));
        Ok(Plan::Perform { effect: effect(node, "wait_until", payload), next })
    }

    /// `on_schedule`; a recurrent one is a control node, to which every dead end returns.
    pub(super) fn schedule(&mut self, node: &Node) -> Result<Plan, Exception> {
        let again = self.returned(node);
        let inputs = self.pull(node, Ambient::Of(&["schedule", "recurrent"])).unwrap_or_default();
        let text = self.schedule_text(node, &inputs);
        let now = self.world.now;
        let (until, may_recur) = match interval_micros(&text) {
            Some(0) => (now, false),
            Some(micros) => (now.plus_micros(micros), true),
            None => (moment(&text)?, false),
        };
        let recurrent = inputs.get("recurrent").map_or_else(|| recurrent_setting(node), truthy) && may_recur;
        if recurrent && !again {
            self.push(node)?;
        }
        let payload = Object::from_iter([("until".to_owned(), json!(until.to_string()))]);
        Ok(Plan::Perform { effect: effect(node, "wait_until", payload), next: successor(node) })
    }

    /// The interval of a generated schedule can be changed while it runs; the variables hold the current one.
    fn schedule_text(&self, node: &Node, inputs: &Object) -> String {
        let current = super::vars::peek(&self.state.vars, &["_meta", "schedule", "interval"]).and_then(Value::as_str);
        if let Some(interval) = current.filter(|_| node.id == crate::schedule::WAIT_INTERVAL && self.is_scheduled()) {
            return interval.to_owned();
        }
        let config = node.config("eventConfig").and_then(|config| config.get("schedule")).and_then(Value::as_str);
        let pin = inputs.get("schedule").and_then(Value::as_str).filter(|text| !text.trim().is_empty());
        pin.or(config).filter(|text| !text.trim().is_empty()).unwrap_or("15s").trim().to_owned()
    }

    pub(super) fn begin_time_wait(&mut self, announced: &Announced) -> Outcome {
        let text = announced.effect.payload.get("until").and_then(Value::as_str).unwrap_or_default();
        let until: Time = match text.parse() {
            Ok(until) => until,
            Err(error) => return Outcome::Failed(format!("wait_until: {error}")),
        };
        if until <= self.world.now {
            return Outcome::Completed(json!({"until": until.to_string(), "ready": true}));
        }
        self.arm(until);
        Outcome::Waiting(Box::new(Wait { until: Some(until), ..Wait::new(WaitReason::Until) }))
    }

    pub(super) fn arm(&mut self, at: Time) {
        self.disarm();
        let timer = self.next_id("timer");
        self.state.timer = Some(timer.clone());
        self.effects.push(Effect::ArmTimer { timer, at });
    }
}

/// Whether a schedule node recurs by its settings; it does unless told otherwise.
pub(super) fn recurrent_setting(node: &Node) -> bool {
    node.config("eventConfig").and_then(|config| config.get("recurrent")).is_none_or(truthy)
}

fn after(now: Time, duration: Option<&Value>, unit: f64) -> Result<Time, Exception> {
    let amount = duration.map_or(Ok(0.0), to_float)?;
    if !amount.is_finite() {
        return Err(Exception::value("wait_until requires a finite 'duration'"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "a float to integer cast saturates, and so does the sum")]
    let micros = (amount.max(0.0) * unit * 1e6).round() as i64;
    Ok(now.plus_micros(micros))
}

fn moment(text: &str) -> Result<Time, Exception> {
    let refuse = |_| Exception::value(format!("'{text}' is neither an interval such as '15m' nor an ISO time"));
    text.parse().map_err(refuse)
}
