//! From a schedule request to the plan of its generated flow: every rule of the contract, decided without IO.

use super::resolve::Chosen;
use crate::ApiError;
use crate::input::Input;
use domain::{Object, Time};
use flow::schedule::{EXECUTIONS, Plan};
use serde_json::{Value, json};

/// A schedule that was asked for, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repetition {
    /// When to begin, as given; none means at once.
    pub start_at: Option<String>,
    /// How long to sleep in between.
    pub interval: Option<String>,
    /// How often; none with an interval means for ever.
    pub count: Option<u64>,
    /// The last moment, as given.
    pub until: Option<String>,
}

/// Checks when and how often.
pub fn repetition(input: &Input, now: Time) -> Result<Repetition, ApiError> {
    let start_at = input.word("start_at").filter(|text| !text.eq_ignore_ascii_case("now")).map(str::to_owned);
    let interval = input.word("interval").map(str::to_owned);
    let until = input.word("repeat_until").map(str::to_owned);
    let given = match input.integer("repeat_count") {
        Some(count) => Some(positive(count)?),
        None => None,
    };
    if given.is_some_and(|count| count > 1) && interval.is_none() {
        return Err(ApiError::bad_request("repeat_count > 1 requires interval"));
    }
    if given.is_some_and(|count| count > EXECUTIONS) {
        return Err(ApiError::bad_request(format!("repeat_count implies too many executions (max {EXECUTIONS})")));
    }
    let counted = match (&until, given) {
        (Some(_), Some(_)) => {
            return Err(ApiError::bad_request("repeat_until cannot be combined with repeat_count"));
        }
        (Some(until), None) => Some(count_until(until, interval.as_deref(), start_at.as_deref(), now)?),
        (None, given) => given,
    };
    match counted {
        Some(1) => Ok(Repetition { start_at, interval: None, count: Some(1), until }),
        count => Ok(Repetition { start_at, interval, count, until }),
    }
}

fn positive(count: i64) -> Result<u64, ApiError> {
    u64::try_from(count)
        .ok()
        .filter(|count| *count >= 1)
        .ok_or_else(|| ApiError::bad_request("repeat_count must be >= 1"))
}

/// Executions up to and including the last moment: `1 + floor((until - start) / interval)`.
fn count_until(until: &str, interval: Option<&str>, start: Option<&str>, now: Time) -> Result<u64, ApiError> {
    let interval = interval.ok_or_else(|| ApiError::bad_request("repeat_until requires interval"))?;
    let until: Time =
        until.parse().map_err(|problem| ApiError::bad_request(format!("Invalid repeat_until: {problem}")))?;
    let interval = strict_interval(interval)
        .ok_or_else(|| ApiError::bad_request("Invalid interval: invalid interval (expected like '15m', '1h', '2d')"))?;
    let start = match start {
        None => now,
        Some(text) => moment(text, now)?,
    };
    let span = until.as_micros().saturating_sub(start.as_micros());
    if span < 0 {
        return Err(ApiError::bad_request("repeat_until must be >= start_at"));
    }
    let count = u64::try_from(span / interval).unwrap_or(u64::MAX).saturating_add(1);
    if count > EXECUTIONS {
        return Err(ApiError::bad_request(format!("repeat_until implies too many executions (max {EXECUTIONS})")));
    }
    Ok(count)
}

fn moment(text: &str, now: Time) -> Result<Time, ApiError> {
    if let Some(micros) = flow::schedule::interval_micros(text) {
        return Ok(now.plus_micros(micros));
    }
    text.parse().map_err(|problem| ApiError::bad_request(format!("Invalid start_at: {problem}")))
}

/// A whole number of `s`, `m`, `h` or `d`, in microseconds.
fn strict_interval(text: &str) -> Option<i64> {
    let text = text.trim().to_ascii_lowercase();
    let number = text.strip_suffix(['s', 'm', 'h', 'd'])?.trim_end();
    let whole = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    whole.then(|| flow::schedule::interval_micros(&text)).flatten().filter(|micros| *micros > 0)
}

/// The plan of the generated flow, and what clients read of the schedule.
pub fn plan(chosen: &Chosen, when: &Repetition, share_context: bool, workflow: &str, now: Time) -> (Plan, Object) {
    let target = chosen.workflow();
    let plan = Plan {
        target: target.clone(),
        start_at: when.start_at.clone(),
        interval: when.interval.clone(),
        repeat_count: when.count,
        session_prefix: (!share_context).then(|| workflow.to_owned()),
    };
    let mut details = Object::new();
    let mut put = |key: &str, value: Value| drop(details.insert(key.to_owned(), value));
    put("repeat_until", json!(when.until));
    put("start_at", json!(when.start_at));
    put("share_context", json!(share_context));
    put("target_workflow_id", json!(target));
    put("target_bundle_ref", json!(chosen.bundle.reference.to_string()));
    put("target_flow_id", json!(chosen.flow));
    put("created_at", json!(now.seconds_text()));
    put("updated_at", Value::Null);
    (plan.clone(), flow::schedule::meta(&plan, details))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Form;
    use crate::principal::Principal;
    use axum::response::IntoResponse;
    use http_body_util::BodyExt;

    fn ask(body: Value) -> Result<Repetition, ApiError> {
        let input = Input {
            path: Vec::new(),
            query: Object::new(),
            body: body.as_object().unwrap().clone(),
            raw: bytes::Bytes::new(),
            form: Form::default(),
            headers: http::HeaderMap::new(),
            principal: Principal::unprotected(),
            request_id: None,
        };
        repetition(&input, "2026-01-01".parse().unwrap())
    }

    async fn detail(body: Value) -> String {
        let response = ask(body).unwrap_err().into_response();
        assert_eq!(response.status(), 400);
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice::<Value>(&bytes).unwrap()["detail"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn contradictions_are_refused_in_the_words_of_the_contract() {
        let far = "2030-01-01T00:00:00Z";
        assert_eq!(detail(json!({"repeat_count": 0})).await, "repeat_count must be >= 1");
        assert_eq!(detail(json!({"repeat_count": 3})).await, "repeat_count > 1 requires interval");
        assert_eq!(detail(json!({"repeat_until": far})).await, "repeat_until requires interval");
        assert_eq!(
            detail(json!({"repeat_until": far, "repeat_count": 2, "interval": "1h"})).await,
            "repeat_until cannot be combined with repeat_count"
        );
        assert_eq!(
            detail(json!({"repeat_until": "2020-01-01T00:00:00Z", "interval": "1h"})).await,
            "repeat_until must be >= start_at"
        );
        for bad in ["xx", "1.5h", "0s", "15 min", ""] {
            let refused = detail(json!({"repeat_until": far, "interval": bad})).await;
            assert!(refused.contains("interval"), "{bad}: {refused}");
        }
        assert_eq!(
            detail(json!({"repeat_until": "2060-01-01T00:00:00Z", "interval": "1s"})).await,
            "repeat_until implies too many executions (max 10000)"
        );
        assert!(detail(json!({"repeat_until": "soon", "interval": "1s"})).await.starts_with("Invalid repeat_until: "));
        let odd = json!({"repeat_until": far, "interval": "1d", "start_at": "notadate"});
        assert!(detail(odd).await.starts_with("Invalid start_at: "));
    }

    #[test]
    fn a_last_moment_is_inclusive_and_one_execution_needs_no_interval() {
        let until = |until: &str| ask(json!({"interval": "1d", "repeat_until": until})).unwrap();
        assert_eq!(until("2026-01-03T00:00:00Z").count, Some(3));
        assert_eq!(until("2026-01-02T23:59:59Z").count, Some(2));
        let once = ask(json!({"interval": "1h", "repeat_count": 1, "start_at": "NOW"})).unwrap();
        assert_eq!((once.interval, once.count, once.start_at), (None, Some(1), None));
        assert_eq!(ask(json!({"interval": "xx"})).unwrap().interval.as_deref(), Some("xx"), "bad intervals fail later");
    }
}
