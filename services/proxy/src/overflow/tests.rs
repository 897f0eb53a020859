//! What is said in headers, what a stored request is, how many may wait.

use super::board::Board;
use super::{Wish, request};
use crate::config::OverflowConfig;
use crate::form::Form;
use bytes::Bytes;
use domain::Time;
use domain::deferred::{DeferredCaller, DeferredJob, DeferredStatus};
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
    assert!(board.forget_ended(9).is_empty() && board.of("x").len() == 1);
    assert!(board.forget_ended(10).is_empty() && board.of("x").is_empty());
}

#[test]
fn those_that_are_being_stored_count_among_those_that_wait() {
    let board = Board::default();
    board.apply(job("a", "x", 1), 1);
    let coming = board.enter("b", "x", 3, 2).map_err(|_| "no room").unwrap();
    assert_eq!(board.enter("c", "x", 3, 2).err().map(|full| (full.waiting, full.whose)), Some((2, "of yours")));
    let _other = board.enter("c", "y", 3, 2).map_err(|_| "no room").unwrap();
    assert_eq!(board.enter("d", "z", 3, 2).err().map(|full| (full.waiting, full.whose)), Some((3, "in all")));
    board.apply(job("b", "x", 2), 2);
    assert!(board.enter("d", "z", 4, 2).is_ok(), "stored and coming is one, not two");
    drop(coming);
    assert!(board.enter("d", "x", 4, 2).is_err());
    assert_eq!(board.position(&job("b", "x", 2)), Some(2));
}

#[test]
fn a_proxy_is_silent_when_it_was_not_heard_for_long_enough() {
    let board = Board::default();
    assert!(board.is_silent("p", Duration::from_secs(9)), "one that was never heard");
    board.apply(job("a", "x", 1).taken_by("p"), 1);
    assert!(!board.is_silent("p", Duration::from_secs(9)), "what it wrote is a sign of life");
    assert!(board.is_silent("p", Duration::ZERO));
}
