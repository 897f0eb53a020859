//! After a change of a backend or a model: how it stands at the proxies once they have seen it.

use super::output::text_of;
use super::{Session, Trouble, plain};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Proxies that live follow a change within milliseconds; one that has died is listed for a while.
const AT_MOST: Duration = Duration::from_secs(1);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks again until no proxy is behind, for a second at most. Says so if every proxy passes the entry over.
pub(super) async fn settled(
    family: &str,
    name: &str,
    mut shown: Value,
    session: &mut Session,
) -> Result<Value, Trouble> {
    let (client, until) = (session.client()?, Instant::now() + AT_MOST);
    while is_behind(&shown) && Instant::now() < until {
        sleep(PAUSE).await;
        // The change is made, whatever becomes of the looks at it.
        let Ok(Ok(now)) = timeout_at(until, client.get(&[family, name], &[])).await else { break };
        shown = now;
    }
    if let Some(because) = passed_over(&shown) {
        session.screen.remark(&format!("note: '{}' is stored, but every proxy passes it over: {because}", plain(name)));
    }
    Ok(shown)
}

fn is_behind(shown: &Value) -> bool {
    shown["proxies"].as_array().into_iter().flatten().any(|proxy| proxy["state"] == "behind")
}

/// Every reason, if it is in force nowhere.
fn passed_over(shown: &Value) -> Option<String> {
    let proxies = shown["proxies"].as_array().filter(|proxies| !proxies.is_empty())?;
    if proxies.iter().any(|proxy| proxy["state"] != "passed_over") {
        return None;
    }
    let reasons: BTreeSet<String> = proxies.iter().map(|proxy| plain(&text_of(&proxy["because"]))).collect();
    Some(reasons.into_iter().collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_is_passed_over_where_no_proxy_has_it_in_force() {
        let over = |why: &str| json!({"state": "passed_over", "because": why});
        let at = |proxies: Value| passed_over(&json!({"proxies": proxies}));
        assert_eq!(at(json!([over("b"), over("a"), over("b")])), Some("a; b".to_owned()));
        assert_eq!(at(json!([over("a"), {"state": "in_force", "because": null}])), None);
        assert_eq!(at(json!([])), None);
    }
}
