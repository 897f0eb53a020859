//! From what a person types to a run: a whole id, the beginning of one, or `last`.

use super::super::output::text_of;
use super::super::{Client, Trouble};
use serde_json::Value;

/// Runs among which the beginning of an id is looked for.
const RECENT: u32 = 500;
const NAMED: usize = 5;

/// The id of the run that is meant.
pub(super) async fn id(client: &Client, meant: &str) -> Result<String, Trouble> {
    if meant.len() == 36 {
        return Ok(meant.to_owned());
    }
    if meant == "last" {
        let found = recent(client, 1, true, meant).await?;
        return found.into_iter().next().ok_or_else(|| {
            Trouble::new("cannot find the last run", "nothing was run yet").next("gantry run start BUNDLE")
        });
    }
    // A client may have chosen the id, so a short one can be whole.
    match client.get(&["runs", meant], &[]).await {
        Ok(_) => return Ok(meant.to_owned()),
        Err(error) if error.status() == Some(404) => {}
        Err(error) => return Err(error.trouble(format!("cannot find run '{meant}'"))),
    }
    let mut found = recent(client, RECENT, false, meant).await?;
    found.retain(|id| id.starts_with(meant));
    match found.len() {
        1 => Ok(found.swap_remove(0)),
        0 => Err(Trouble::new(
            format!("cannot find run '{meant}'"),
            format!("no id of the {RECENT} most recent runs begins with it"),
        )
        .next("gantry run list")),
        count => {
            let some = found.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
            Err(Trouble::usage(format!("cannot tell which run '{meant}' is"), format!("{count} begin with it: {some}"))
                .next("type more of the id"))
        }
    }
}

/// The run itself.
pub(super) async fn run(client: &Client, id: &str) -> Result<Value, Trouble> {
    let found = client.get(&["runs", id], &[]).await;
    found.map_err(|error| error.trouble(format!("cannot read run {}", super::brief(id))))
}

async fn recent(client: &Client, limit: u32, roots: bool, meant: &str) -> Result<Vec<String>, Trouble> {
    let query = [("limit", limit.to_string()), ("root_only", roots.to_string()), ("include_drafts", "true".to_owned())];
    let found = client.get(&["runs"], &query).await;
    let found = found.map_err(|error| error.trouble(format!("cannot find run '{meant}'")))?;
    Ok(found["items"].as_array().into_iter().flatten().map(|item| text_of(&item["run_id"])).collect())
}
