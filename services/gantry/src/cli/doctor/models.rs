//! What `gantry doctor` finds out about model traffic: the proxy's file, and the model servers.

use super::super::output::text_of;
use super::super::{Client, RequestError, Session, plain};
use super::Finding;
use crate::serve;
use serde_json::Value;
use service::config::Reader;

/// The proxy's file, if the settings name one: read and tried as a proxy does when it starts.
pub(super) fn file(session: &Session) -> Option<Finding> {
    let flags = serve::flags(&session.global);
    // Settings that cannot be read are a finding of their own.
    let mut reader = Reader::open(flags, session.environment.clone()).ok()?;
    let config = proxy::Config::read(&mut reader).ok()?;
    let path = config.file.clone()?.display().to_string();
    let found = match proxy::Proxy::new(config) {
        Ok(_) => Ok(format!("{path} can be used")),
        Err(error @ proxy::SetupError::File(_)) => Err(error.to_string()),
        Err(error @ (proxy::SetupError::Fleet(_) | proxy::SetupError::Key(_))) => {
            Err(format!("{path} cannot be used beside the other settings: {error}"))
        }
    };
    let fix = "correct the file, or name another in GANTRY_PROXY_FILE; a proxy that runs keeps the last good one";
    Some(Finding::new("proxy file", found.map_err(|text| one_line(&text)), fix))
}

/// What a parser says of a file takes several lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().map(plain).collect::<Vec<_>>().join(" ")
}

/// The model servers, as the proxies see them.
pub(super) async fn backends(client: &Client) -> Finding {
    const PART: &str = "models";
    match client.get(&["backends"], &[]).await {
        Ok(answer) => {
            let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            judge(PART, items)
        }
        Err(error @ RequestError::Refused { status: 404, .. }) => {
            Finding::warning(PART, format!("the gateway cannot tell of backends: {error}"), "upgrade the gateway")
        }
        Err(error) => Finding::new(PART, Err(format!("backends cannot be listed: {error}")), "read the gateway's log"),
    }
}

fn judge(part: &'static str, items: &[Value]) -> Finding {
    if items.is_empty() {
        let hint = "add one with `gantry backend create NAME --kind KIND --base-url URL`";
        return Finding::new(part, Ok(format!("no backends; {hint}")), hint);
    }
    let ill: Vec<(String, String)> = items
        .iter()
        .filter_map(|item| {
            let name = plain(&text_of(&item["name"]));
            Some((format!("{name} is {}", ailment(item)?), format!("`gantry backend show {name}`")))
        })
        .collect();
    if ill.is_empty() {
        let (count, ending) = (items.len(), if items.len() == 1 { "" } else { "s" });
        return Finding::new(part, Ok(format!("{count} backend{ending}, none unwell")), "");
    }
    let (found, fixes): (Vec<String>, Vec<String>) = ill.into_iter().unzip();
    Finding::warning(part, found.join("; "), format!("see {}", fixes.join(", ")))
}

/// What is wrong with a backend, if anything is known to be.
fn ailment(item: &Value) -> Option<String> {
    if let Some(why) = item["unreadable"].as_str() {
        return Some(format!("unreadable: {}", plain(why)));
    }
    let proxies = item["proxies"].as_array().map(Vec::as_slice).unwrap_or_default();
    if proxies.is_empty() {
        return Some("stored, but no proxy runs".to_owned());
    }
    let of = |word: &str, one: &Value| match text_of(&one["because"]).as_str() {
        "" => word.to_owned(),
        why => format!("{word}: {}", plain(why)),
    };
    let over = proxies.iter().find(|proxy| proxy["state"] == "passed_over").map(|one| of("passed over", one));
    over.or_else(|| proxies.iter().find(|proxy| proxy["healthy"] == false).map(|one| of("unwell", one)))
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use serde_json::json;

    #[test]
    fn each_backend_that_is_not_well_is_named_with_its_reason_and_the_next_step() {
        let at = |name: &str, state: &str, healthy: Value, because: Value| json!({"name": name, "proxies": [{"state": state, "healthy": healthy, "because": because}]});
        let well = at("a", "in_force", json!(true), Value::Null);
        let new = at("b", "behind", Value::Null, Value::Null);
        let good = judge("models", &[well.clone(), new]);
        assert_eq!((good.level, good.found.as_str()), (Level::Ok, "2 backends, none unwell"));
        let gone = at("c", "in_force", json!(false), json!("connection refused"));
        let over = at("d", "passed_over", Value::Null, json!("the name is taken"));
        let found = judge("models", &[well, gone, over]);
        assert_eq!(found.level, Level::Warning);
        assert_eq!(found.found, "c is unwell: connection refused; d is passed over: the name is taken");
        assert_eq!(found.fix, "see `gantry backend show c`, `gantry backend show d`");
        assert_eq!(judge("models", &[]).level, Level::Ok);
    }
}
