//! What is said in headers, what a stored request is, how many may wait.

use super::board::{Board, Crowded};
use super::{Wish, request};
use crate::config::OverflowConfig;
use crate::form::Form;
use bytes::Bytes;
use domain::Time;
use domain::deferred::{DeferredCaller, DeferredJob, DeferredResponse, DeferredStatus, StoredBody};
use http::{HeaderMap, HeaderValue};
use std::time::Duration;

fn said(values: &[&str]) -> Option<u64> {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append("prefer", HeaderValue::from_str(value).unwrap());
    }
    Wish::read(&headers, &OverflowConfig::default()).unwrap().map(|wish| wish.wait.as_secs())
}

#[test]
fn a_preference_is_found_among_others_whatever_its_spelling() {
    assert_eq!(said(&["respond-async"]), Some(0));
    assert_eq!(said(&["return=minimal, Respond-Async ; a=b , wait=20"]), Some(20));
    assert_eq!(said(&["wait = \"7\"", "respond-async", "wait=9"]), Some(7), "the first of the same name counts");
    assert_eq!(said(&["wait=20"]), None);
    assert_eq!(said(&["respond-asynchronously", "return=respond-async"]), None);
    assert_eq!(said(&[]), None);
}

#[test]
fn a_request_is_stored_with_its_headers_and_asks_for_its_answer_in_one_piece() {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.append("anthropic-beta", HeaderValue::from_static("a"));
    headers.append("anthropic-beta", HeaderValue::from_static("b"));
    let body = Bytes::from_static(b"{\"a\":\n1, \"stream\" : true ,\"x\":{\"stream\":true}}");
    let whole = request::whole(&body, None).unwrap();
    assert_eq!(whole, "{\"a\":\n1, \"stream\" : false ,\"x\":{\"stream\":true}}");
    let (read, kept) = request::read(&request::write(&headers, &whole)).unwrap();
    assert_eq!((read, kept), (headers, whole));
    for plain in [r#"{}"#, r#"{"model":"m"}"#] {
        assert_eq!(request::whole(&Bytes::from_static(plain.as_bytes()), None).unwrap(), plain);
    }
    assert!(request::whole(&Bytes::from_static(b"[]"), None).is_err());
    let sound = Bytes::from_static(br#"{"stream_format":"sse","input":"sse"}"#);
    assert_eq!(request::whole(&sound, None).unwrap(), r#"{"stream_format":"audio","input":"sse"}"#);
    let form = |stream: &str| {
        Bytes::from(format!("--b\r\ncontent-disposition: form-data; name=\"stream\"\r\n\r\n{stream}\r\n--b--\r\n"))
    };
    let kind = HeaderMap::from_iter([(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("multipart/form-data; boundary=b"),
    )]);
    let read = Form::read(&kind, &form("true")).unwrap().unwrap();
    assert_eq!(request::whole(&form("true"), Some(&read)).unwrap(), form("false"));
    assert!(request::read(&Bytes::from_static(b"no line")).is_err());
}

fn job(id: &str, owner: &str, created: i64) -> DeferredJob {
    let caller = DeferredCaller::without_key(owner, owner);
    let (created, expires) = (Time::from_micros(created), Time::from_micros(i64::MAX));
    DeferredJob { model: Some("m".to_owned()), ..DeferredJob::new(id.to_owned(), caller, "/", created, expires) }
}

#[test]
fn an_older_word_never_replaces_a_newer_one() {
    let board = Board::default();
    board.apply(job("a", "x", 1).attempted(Time::from_micros(5)), 7);
    assert_eq!(board.apply(job("a", "x", 1), 6).sequence, 7);
    assert_eq!(board.load(), (0, 1));
    let ended = job("a", "x", 1).ended(DeferredStatus::Completed, None, Time::from_micros(9));
    board.apply(ended, 8);
    assert_eq!((board.load(), board.open().len(), board.of("x").len()), ((0, 0), 0, 1));
    assert!(board.forget_ended(9, 0).is_empty() && board.of("x").len() == 1);
    assert!(board.forget_ended(10, 0).is_empty() && board.of("x").is_empty());
}

#[test]
fn those_that_are_being_stored_count_among_those_that_wait() {
    let board = Board::default();
    board.apply(job("a", "x", 1), 1);
    let bounds = |jobs| OverflowConfig { jobs, per_caller: 2, ..OverflowConfig::default() };
    let enter = |id, owner, jobs| board.enter(id, owner, 1, &bounds(jobs));
    let coming = enter("b", "x", 3).map_err(|_| "no room").unwrap();
    assert_eq!(enter("c", "x", 3).err(), Some(Crowded::Jobs { waiting: 2, whose: "of yours" }));
    let _other = enter("c", "y", 3).map_err(|_| "no room").unwrap();
    assert_eq!(enter("d", "z", 3).err(), Some(Crowded::Jobs { waiting: 3, whose: "in all" }));
    board.apply(job("b", "x", 2), 2);
    assert!(enter("d", "z", 4).is_ok(), "stored and coming is one, not two");
    drop(coming);
    assert!(enter("d", "x", 4).is_err());
    assert_eq!(board.position(&job("b", "x", 2)), Some(2));
}

/// Something stored, of so many bytes.
fn stored(bytes: u64) -> StoredBody {
    StoredBody { bytes, ..StoredBody::default() }
}

#[test]
fn requests_that_wait_have_at_most_so_many_bytes_together() {
    let board = Board::default();
    let bounds = OverflowConfig { stored_bytes: 100, ..OverflowConfig::default() };
    let waiting = DeferredJob { request: stored(60), ..job("a", "x", 1) };
    board.apply(waiting.clone(), 1);
    let coming = board.enter("b", "y", 30, &bounds).map_err(|_| "no room").unwrap();
    assert_eq!(board.enter("c", "z", 11, &bounds).err(), Some(Crowded::Bytes { waiting: 90 }));
    assert!(board.enter("c", "z", 10, &bounds).is_ok());
    drop(coming);
    board.apply(waiting.ended(DeferredStatus::Completed, None, Time::from_micros(9)), 2);
    assert!(board.enter("c", "z", 100, &bounds).is_ok(), "what has ended waits no more");
    assert!(board.enter("c", "z", 101, &bounds).is_err());
}

#[test]
fn of_answers_that_have_too_many_bytes_together_the_oldest_are_forgotten() {
    let board = Board::default();
    for (at, id) in (1..).zip(["c", "a", "b"]) {
        let ended = job(id, "x", 1).ended(DeferredStatus::Completed, None, Time::from_micros(at));
        let (status_code, content_type, body) = (200, String::new(), stored(40));
        board.apply(DeferredJob { response: Some(DeferredResponse { status_code, content_type, body }), ..ended }, 1);
    }
    assert!(board.forget_ended(0, 120).is_empty());
    assert_eq!(board.forget_ended(0, 100), ["c"]);
    assert_eq!(board.forget_ended(0, 39), ["a", "b"]);
    assert!(board.of("x").is_empty());
}

#[test]
fn a_proxy_is_silent_when_it_was_not_heard_for_long_enough() {
    let board = Board::default();
    assert!(board.is_silent("p", Duration::from_secs(9)), "one that was never heard");
    board.apply(job("a", "x", 1).taken_by("p"), 1);
    assert!(!board.is_silent("p", Duration::from_secs(9)), "what it wrote is a sign of life");
    assert!(board.is_silent("p", Duration::ZERO));
}
