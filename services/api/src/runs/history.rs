//! What the history bundle is made of: windows of ledgers, the timeline over them, and the turns of a session.

use crate::ApiError;
use crate::api::PlaneData;
use domain::{RunId, Time};
use ledger::{Item, RawRecord};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

/// Records read at once.
const PAGE: usize = 1_000;
/// Records of one ledger in one bundle, whatever the client asks for.
const MOST: u64 = 100_000;

/// A window of one ledger.
#[derive(Debug, Serialize)]
pub struct Window {
    run_id: String,
    total: u64,
    cursor_start: u64,
    cursor_end: u64,
    items: Vec<Placed>,
    artifacts: [Value; 0],
}

#[derive(Debug, Serialize)]
struct Placed {
    cursor: u64,
    record: RawRecord,
}

/// A record on the timeline.
#[derive(Debug, Serialize)]
pub struct Moment {
    run_id: String,
    cursor: u64,
    node_id: String,
    status: String,
    effect_type: Option<String>,
    started_at: Time,
    ended_at: Option<Time>,
    duration_ms: Option<f64>,
}

/// What the timeline and the figures need of a record.
#[derive(Deserialize)]
struct Read {
    node_id: String,
    status: String,
    effect: Option<EffectKind>,
    #[serde(default)]
    result: Option<Value>,
    started_at: Time,
    ended_at: Option<Time>,
}

#[derive(Deserialize)]
struct EffectKind {
    #[serde(rename = "type")]
    kind: String,
}

/// Figures of one run.
#[derive(Debug, Default, Serialize)]
pub struct Stats {
    duration_ms: u64,
    llm_calls: u64,
    tool_calls: u64,
    usage: Usage,
    tok_s: Option<f64>,
}

#[derive(Debug, Default, Serialize)]
struct Usage {
    input_tokens: u64,
    output_tokens: u64,
    total_tokens: u64,
}

/// Windows by run, in the order in which they are shown.
#[derive(Debug)]
pub struct Windows(pub Vec<Window>);

impl Serialize for Windows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for window in &self.0 {
            map.serialize_entry(&window.run_id, window)?;
        }
        map.end()
    }
}

/// The last `most` records of a ledger.
pub async fn window(data: &PlaneData, run: &RunId, most: u64) -> Result<Window, ApiError> {
    let most = most.clamp(1, MOST);
    let total = data.ledger.records(run, 0, 0).await?.map_or(0, |page| page.total);
    let mut cursor = total.saturating_sub(most);
    let cursor_start = if total == 0 { 0 } else { cursor + 1 };
    let mut items = Vec::new();
    while cursor < total {
        let left = usize::try_from(total - cursor).unwrap_or(PAGE).min(PAGE);
        let Some(page) = data.ledger.records(run, cursor, left).await? else {
            break;
        };
        let Some(last) = page.items.last() else { break };
        cursor = last.cursor;
        items.extend(page.items.into_iter().map(|Item { cursor, record }| Placed { cursor, record }));
    }
    Ok(Window { run_id: run.to_string(), total, cursor_start, cursor_end: cursor, items, artifacts: [] })
}

/// Every record of the windows, by time.
pub fn timeline(windows: &[Window]) -> Vec<Moment> {
    let mut moments: Vec<Moment> = windows.iter().flat_map(moments).collect();
    moments.sort_by_key(|moment| moment.started_at);
    moments
}

fn moments(window: &Window) -> impl Iterator<Item = Moment> + '_ {
    window.items.iter().filter_map(|item| {
        let read: Read = serde_json::from_str(item.record.get()).ok()?;
        Some(Moment {
            run_id: window.run_id.clone(),
            cursor: item.cursor,
            node_id: read.node_id,
            status: read.status,
            effect_type: read.effect.map(|effect| effect.kind),
            started_at: read.started_at,
            ended_at: read.ended_at,
            duration_ms: read.ended_at.map(|ended| hundredths(ended.as_micros() - read.started_at.as_micros())),
        })
    })
}

/// Milliseconds with two decimals.
fn hundredths(micros: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "durations are small against 2^52")]
    let millis = micros as f64 / 1_000.0;
    (millis * 100.0).round() / 100.0
}

/// Figures over a window.
pub fn stats(window: &Window) -> Stats {
    let mut stats = Stats::default();
    let (mut first, mut last) = (None::<Time>, None::<Time>);
    for item in &window.items {
        let Ok(read) = serde_json::from_str::<Read>(item.record.get()) else {
            continue;
        };
        first = first.or(Some(read.started_at));
        last = read.ended_at.or(last);
        let kind = read.effect.as_ref().map(|effect| effect.kind.as_str()).unwrap_or_default();
        if read.status == "completed" {
            stats.count(kind, read.result.as_ref());
        }
    }
    if let (Some(first), Some(last)) = (first, last) {
        let micros = last.as_micros().saturating_sub(first.as_micros()).max(0);
        stats.duration_ms = u64::try_from(micros).unwrap_or(0).div_ceil(1_000);
    }
    stats
}

impl Stats {
    fn count(&mut self, kind: &str, result: Option<&Value>) {
        let number =
            |pointer: &str| result.and_then(|result| result.pointer(pointer)).and_then(Value::as_u64).unwrap_or(0);
        match kind {
            "llm_call" => {
                self.llm_calls += 1;
                self.usage.input_tokens += number("/usage/input_tokens");
                self.usage.output_tokens += number("/usage/output_tokens");
                self.usage.total_tokens += number("/usage/total_tokens");
            }
            "tool_calls" | "call_tool" => self.tool_calls += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use serde_json::value::RawValue;

    fn record(kind: &str, started: &str, ended: &str, result: Value) -> RawRecord {
        let record = json!({"node_id": "n", "status": "completed", "effect": {"type": kind}, "result": result,
            "started_at": format!("2026-11-20T00:00:{started}+00:00"), "ended_at": format!("2026-11-20T00:00:{ended}+00:00")});
        RawValue::from_string(record.to_string()).unwrap().into()
    }

    #[test]
    fn figures_and_timeline_come_from_the_records_alone() {
        let usage = json!({"usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}});
        let items = vec![
            Placed { cursor: 1, record: record("llm_call", "02.000000", "02.500400", usage) },
            Placed { cursor: 2, record: record("answer_user", "03.000000", "03.000041", Value::Null) },
        ];
        let window = Window { run_id: "r".into(), total: 2, cursor_start: 1, cursor_end: 2, items, artifacts: [] };
        let stats = serde_json::to_value(stats(&window)).unwrap();
        assert_eq!(
            stats,
            json!({"duration_ms": 1001, "llm_calls": 1, "tool_calls": 0,
                "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}, "tok_s": null})
        );
        let timeline = timeline(&[window]);
        assert_eq!(timeline.iter().map(|moment| moment.duration_ms).collect::<Vec<_>>(), [Some(500.4), Some(0.04)]);
    }
}
