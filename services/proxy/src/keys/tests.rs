//! Limits hold, keys are kept as hashes, and what was used stays used.

use super::bucket::{Bucket, Buckets};
use super::{Keys, hash_key, new_key};
use crate::config::{Config, KeyConfig};
use crate::routing::Permits;
use secrecy::ExposeSecret;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
fn a_bucket_lets_its_burst_through_and_then_its_rate() {
    let (bucket, now) = (Bucket::new(60, 2), Instant::now());
    assert_eq!((bucket.take(now), bucket.take(now)), (Ok(()), Ok(())));
    let wait = bucket.take(now).unwrap_err();
    assert!((0.99..=1.0).contains(&wait.as_secs_f64()), "{wait:?}");
    assert_eq!(bucket.take(now + wait), Ok(()));
    assert!(bucket.take(now + wait).is_err());
}

#[test]
fn what_is_charged_afterwards_is_paid_back_before_the_next_one() {
    let (bucket, now) = (Bucket::new(60, 10), Instant::now());
    assert_eq!(bucket.check(now), Ok(()));
    bucket.charge(now, 40.0);
    assert_eq!(bucket.check(now).unwrap_err().as_secs(), 30);
    assert_eq!(bucket.check(now + Duration::from_secs(31)), Ok(()));
}

#[test]
fn callers_do_not_take_from_one_another() {
    let (buckets, now) = (Buckets::new(1, 1), Instant::now());
    assert_eq!((buckets.take("a", now), buckets.take("b", now)), (Ok(()), Ok(())));
    assert!(buckets.take("a", now).is_err());
}

#[test]
fn a_new_key_is_known_by_its_hash_alone() {
    let (key, hash) = new_key();
    assert_eq!(hash_key(key.expose_secret()), hash);
    assert!(!hash.contains(key.expose_secret()));
    assert_ne!(new_key().1, hash);
    assert!(!format!("{key:?}").contains(key.expose_secret()));
}

fn config(budget: u64) -> Config {
    let key = KeyConfig {
        name: "a".to_owned(),
        hash: hash_key("k"),
        token_budget: Some(budget),
        concurrent: Some(1),
        ..KeyConfig::default()
    };
    Config { keys: vec![key], ..Config::default() }
}

#[test]
fn a_key_keeps_what_it_used_over_a_reload_that_does_not_change_it() {
    let permits = Arc::new(Permits::default());
    let before = Keys::new(&config(10), &Keys::default()).unwrap();
    before.find("k").unwrap().charge(10);
    let same = Keys::new(&config(10), &before).unwrap();
    assert!(same.find("k").unwrap().admit(&permits.ticket(), Instant::now()).is_err());
    let more = Keys::new(&config(99), &before).unwrap();
    assert!(more.find("k").unwrap().admit(&permits.ticket(), Instant::now()).is_ok());
}

#[test]
fn a_key_runs_no_more_at_once_than_it_may_and_a_refusal_takes_no_place() {
    let permits = Arc::new(Permits::default());
    let keys = Keys::new(&config(10), &Keys::default()).unwrap();
    let (key, ticket) = (keys.find("k").unwrap(), permits.ticket());
    let first = key.admit(&ticket, Instant::now()).unwrap();
    assert!(key.admit(&ticket, Instant::now()).is_err());
    assert!(key.admit(&ticket, Instant::now()).is_err());
    drop(first);
    assert!(key.admit(&ticket, Instant::now()).is_ok());
}

#[test]
fn a_hash_or_a_scope_that_cannot_be_is_refused() {
    let wrong = |change: fn(&mut KeyConfig)| {
        let mut config = config(1);
        change(&mut config.keys[0]);
        Keys::new(&config, &Keys::default()).unwrap_err()
    };
    assert!(wrong(|key| key.hash = "plain text".to_owned()).contains("64 hexadecimal digits"));
    assert!(wrong(|key| key.scopes = vec!["root".to_owned()]).contains("'root'"));
}
