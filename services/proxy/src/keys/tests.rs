//! Limits hold, keys are kept as hashes, and what was used stays used.

use super::bucket::{Bucket, Buckets};
use super::new_key;
use super::store::{Common, Keys};
use crate::config::{Config, KeyConfig};
use crate::routing::Permits;
use domain::Time;
use domain::keys::{KeyLimits, KeyRecord, hash_key};
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

fn keys(config: &Config, before: &Keys) -> Result<Keys, String> {
    Keys::new(config, &[], &Common::default(), before)
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

#[tokio::test]
async fn a_key_keeps_what_it_used_over_every_reload_and_a_larger_budget_lets_it_go_on() {
    let (permits, common) = (Arc::new(Permits::default()), Common::default());
    let before = Keys::new(&config(10), &[], &common, &Keys::default()).unwrap();
    before.find("k").unwrap().charge(10);
    for budget in [10, 9] {
        let same = Keys::new(&config(budget), &[], &common, &before).unwrap();
        assert!(same.find("k").unwrap().admit(&permits.ticket()).await.is_err());
    }
    let more = Keys::new(&config(11), &[], &common, &before).unwrap();
    assert!(more.find("k").unwrap().admit(&permits.ticket()).await.is_ok());
}

fn record(name: &str, revoked: bool) -> KeyRecord {
    let now = Time::from_micros(0);
    KeyRecord {
        id: format!("id-{name}"),
        name: name.to_owned(),
        hash: hash_key(name),
        tenant: None,
        scopes: Vec::new(),
        models: Vec::new(),
        limits: KeyLimits::default(),
        created_at: now,
        updated_at: now,
        revoked_at: revoked.then_some(now),
    }
}

#[test]
fn a_key_of_the_bus_is_known_until_it_is_revoked_and_the_door_stays_closed_behind_it() {
    let build =
        |stored: &[KeyRecord]| Keys::new(&Config::default(), stored, &Common::default(), &Keys::default()).unwrap();
    assert!(build(&[]).is_open());
    let keys = build(&[record("a", false), record("b", true)]);
    assert_eq!(&*keys.find("a").unwrap().id, "id-a");
    assert!(keys.find("b").is_none() && !keys.is_open());
    assert!(!build(&[record("b", true)]).is_open());
}

#[test]
fn a_key_of_the_process_itself_opens_its_own_door_and_closes_nobody_elses() {
    let config = Config { own_keys: vec!["own".to_owned().into()], ..Config::default() };
    let keys = keys(&config, &Keys::default()).unwrap();
    assert!(keys.is_open() && keys.find("own").is_some());
}

#[tokio::test]
async fn a_key_runs_no_more_at_once_than_it_may_and_a_refusal_takes_no_place() {
    let permits = Arc::new(Permits::default());
    let keys = keys(&config(10), &Keys::default()).unwrap();
    let (key, ticket) = (keys.find("k").unwrap(), permits.ticket());
    let first = key.admit(&ticket).await.unwrap();
    assert!(key.admit(&ticket).await.is_err());
    assert!(key.admit(&ticket).await.is_err());
    drop(first);
    assert!(key.admit(&ticket).await.is_ok());
}

#[test]
fn a_hash_or_a_scope_that_cannot_be_is_refused() {
    let wrong = |change: fn(&mut KeyConfig)| {
        let mut config = config(1);
        change(&mut config.keys[0]);
        keys(&config, &Keys::default()).unwrap_err()
    };
    assert!(wrong(|key| key.hash = "plain text".to_owned()).contains("64 hexadecimal digits"));
    assert!(wrong(|key| key.scopes = vec!["root".to_owned()]).contains("'root'"));
}
