//! Pushes, webhooks and callbacks that could not be delivered: looked at, sent again or thrown away; and channels that
//! are switched off because their target wanted nothing more.

use crate::api::now;
use crate::error::ok;
use crate::input::Input;
use crate::{Api, ApiError};
use axum::response::Response;
use domain::notices::{Carried, DeadLetter, Notice, NoticeKind};
use domain::uuid_from;
use serde_json::{Value, json};

/// `GET /api/gateway/notices/dead-letters`
pub(super) async fn list(api: Api, input: Input) -> Result<Response, ApiError> {
    let after = match input.word("cursor") {
        None => 0,
        Some(text) => text.parse().map_err(|_| ApiError::bad_request("cursor is not one that a page ended with"))?,
    };
    let limit = usize::try_from(input.count("limit")).unwrap_or(1);
    let (letters, next) = api.parts.bus.notices().dead_letters_after(after, limit).await?;
    let channel = input.word("channel");
    let fitting = letters.iter().filter(|letter| channel.is_none_or(|channel| letter.outgoing.channel == channel));
    let items: Vec<Value> = fitting.map(brief).collect();
    Ok(ok(&json!({"items": items, "next_cursor": next.map(|place| place.to_string())})))
}

/// `GET /api/gateway/notices/dead-letters/{letter_id}`
pub(super) async fn get(api: Api, input: Input) -> Result<Response, ApiError> {
    let id = input.path("letter_id");
    let letter = api.parts.bus.notices().dead_letter(id).await?.ok_or_else(|| no_letter(id))?;
    let mut shown = brief(&letter);
    shown["carried"] = json!(letter.outgoing.carried);
    Ok(ok(&shown))
}

/// `POST /api/gateway/notices/dead-letters/{letter_id}/replay`
pub(super) async fn replay(api: Api, input: Input) -> Result<Response, ApiError> {
    let id = input.path("letter_id");
    if api.parts.bus.notices().replay(id).await? {
        Ok(ok(&json!({"id": id, "replayed": true})))
    } else {
        Err(no_letter(id))
    }
}

/// `DELETE /api/gateway/notices/dead-letters/{letter_id}`
pub(super) async fn discard(api: Api, input: Input) -> Result<Response, ApiError> {
    let id = input.path("letter_id");
    let notices = api.parts.bus.notices();
    notices.dead_letter(id).await?.ok_or_else(|| no_letter(id))?;
    notices.discard(id).await?;
    Ok(ok(&json!({"id": id, "discarded": true})))
}

/// `GET /api/gateway/notices/disabled`
pub(super) async fn disabled(api: Api, _: Input) -> Result<Response, ApiError> {
    Ok(ok(&json!({"items": api.parts.bus.notices().all_disabled().await?})))
}

/// `POST /api/gateway/notices/disabled/{channel}/enable`
pub(super) async fn enable(api: Api, input: Input) -> Result<Response, ApiError> {
    let channel = input.path("channel");
    if api.parts.bus.notices().enable(channel).await? {
        Ok(ok(&json!({"channel": channel, "enabled": true})))
    } else {
        Err(ApiError::not_found(format!("Channel '{channel}' is not disabled")))
    }
}

/// `POST /api/gateway/notices/test`
pub(super) async fn test(api: Api, input: Input) -> Result<Response, ApiError> {
    let at = now();
    let id = uuid_from(&[b"test", at.as_micros().to_string().as_bytes()]);
    let text = input.text("text").filter(|text| !text.is_empty()).unwrap_or("Notices from this gateway arrive here.");
    let notice = Notice::new(id, NoticeKind::Test, at, "Gantry test").saying(text);
    api.parts.bus.notices().publish(&notice).await?;
    Ok(ok(&json!({"id": notice.id, "published": true})))
}

fn no_letter(id: &str) -> ApiError {
    ApiError::not_found(format!("Dead letter '{id}' not found"))
}

/// A dead letter without what it carries.
fn brief(letter: &DeadLetter) -> Value {
    let outgoing = &letter.outgoing;
    let (kind, title, job, url) = match &outgoing.carried {
        Carried::Notice(notice) => (notice.kind.as_str(), notice.title.clone(), notice.job.as_deref(), None),
        Carried::Callback(callback) => {
            let title = format!("Job {}", callback.body.status);
            ("callback", title, Some(callback.job.as_str()), Some(callback.url.as_str()))
        }
    };
    json!({
        "id": outgoing.id,
        "at": letter.at,
        "channel": outgoing.channel,
        "kind": kind,
        "title": title,
        "job_id": job,
        "url": url,
        "error": letter.error,
        "attempts": outgoing.attempts,
        "replays": outgoing.replays,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::notices::{Callback, CallbackBody, Outgoing};

    #[test]
    fn a_letter_says_what_it_is_about_and_where_it_was_going() {
        let body = CallbackBody {
            job_id: "j".to_owned(),
            status: "completed".to_owned(),
            result: None,
            error: None,
            timestamp: now(),
        };
        let callback = Callback { job: "j".to_owned(), url: "https://a.example/x".to_owned(), body };
        let outgoing = Outgoing::callback(callback);
        let shown = brief(&DeadLetter { at: now(), error: "gone".to_owned(), outgoing });
        assert_eq!((&shown["kind"], &shown["job_id"]), (&json!("callback"), &json!("j")));
        assert_eq!((&shown["url"], &shown["title"]), (&json!("https://a.example/x"), &json!("Job completed")));
        let notice = Notice::new("n", NoticeKind::NodeLost, now(), "Node a is silent");
        let shown =
            brief(&DeadLetter { at: now(), error: "gone".to_owned(), outgoing: Outgoing::notice("ntfy", notice) });
        assert_eq!(
            (&shown["kind"], &shown["channel"], &shown["url"]),
            (&json!("node_lost"), &json!("ntfy"), &Value::Null)
        );
    }
}
