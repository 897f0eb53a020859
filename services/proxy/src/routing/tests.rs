//! Who goes next, who is left alone, and what is given back.

use super::admission::{Admission, Entry, Place, Rank};
use super::breaker::Breaker;
use super::permits::Permits;
use super::{Fleet, Route};
use crate::config::{BackendConfig, Config, ModelConfig, ReplicaConfig};
use crate::error::ProxyError;
use futures::FutureExt;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn rank(tenant: &str, weight: u32, priority: i32) -> Rank {
    Rank { tenant: tenant.into(), weight, priority }
}

fn free(entry: Result<Entry, super::admission::Full>) -> Place {
    match entry.unwrap() {
        Entry::Free(place) => place,
        Entry::Wait(_) => panic!("it has to wait"),
    }
}

/// Lets everybody wait behind one who is inside, then lets them in one after the other, and says who came when.
async fn order(ranks: &[Rank]) -> Vec<String> {
    let door = Admission::new(Some(1), ranks.len());
    let first = free(door.enter(&rank("first", 1, 0), Instant::now()));
    let mut stays = Vec::new();
    for one in ranks {
        let Entry::Wait(waiting) = door.enter(one, Instant::now()).unwrap() else { panic!("the door is taken") };
        stays.push((one.tenant.clone(), Box::pin(waiting.turn())));
    }
    let mut order = Vec::new();
    drop(first);
    while !stays.is_empty() {
        let turns = stays.iter_mut().map(|(_, turn)| turn.as_mut());
        let (place, at, _) = futures::future::select_all(turns).await;
        order.push(stays.remove(at).0.to_string());
        drop(place.unwrap());
    }
    assert_eq!(door.load(), (0, 0));
    order
}

#[tokio::test]
async fn tenants_take_turns_however_many_requests_one_of_them_sends() {
    let mut ranks = vec![rank("greedy", 1, 0); 8];
    ranks.extend([rank("modest", 1, 0), rank("modest", 1, 0)]);
    let order = order(&ranks).await;
    let modest: Vec<usize> = (0..order.len()).filter(|at| order[*at] == "modest").collect();
    assert_eq!(modest, [1, 3], "{order:?}");
}

#[tokio::test]
async fn a_tenant_of_three_times_the_weight_gets_three_turns_to_one() {
    let ranks: Vec<Rank> =
        (0..16).map(|number| if number % 2 == 0 { rank("heavy", 3, 0) } else { rank("light", 1, 0) }).collect();
    let order = order(&ranks).await;
    assert_eq!(order[..8].iter().filter(|tenant| *tenant == "heavy").count(), 6, "{order:?}");
}

#[tokio::test]
async fn a_higher_priority_goes_first() {
    assert_eq!(order(&[rank("a", 1, 0), rank("b", 1, 5), rank("c", 1, 1)]).await, ["b", "c", "a"]);
}

#[tokio::test]
async fn ten_tenants_at_ten_times_the_load_are_served_evenly() {
    let ranks: Vec<Rank> = (0..200).map(|number: usize| rank(&format!("t{}", number.isqrt() % 10), 1, 0)).collect();
    let order = order(&ranks).await;
    let mut served: BTreeMap<&str, f64> = BTreeMap::new();
    // Everybody has at least this many in the queue, so that only fairness decides.
    for tenant in &order[..60] {
        *served.entry(tenant).or_default() += 1.0;
    }
    let (sum, squares) =
        served.values().fold((0.0, 0.0), |(sum, squares), count| (sum + count, squares + count * count));
    let jain = sum * sum / (10.0 * squares);
    assert!(jain >= 0.95, "Jain's index is {jain}: {served:?}");
}

#[tokio::test]
async fn whoever_leaves_the_queue_gives_the_turn_on() {
    let door = Admission::new(Some(1), 2);
    let inside = free(door.enter(&rank("a", 1, 0), Instant::now()));
    let Entry::Wait(leaves) = door.enter(&rank("b", 1, 0), Instant::now()).unwrap() else { panic!("no place") };
    let Entry::Wait(stays) = door.enter(&rank("c", 1, 0), Instant::now()).unwrap() else { panic!("no place") };
    assert!(door.enter(&rank("d", 1, 0), Instant::now()).is_err());
    // The turn is given to one who leaves in that very moment.
    drop(inside);
    drop(leaves);
    drop(stays.turn().await.unwrap());
    assert_eq!(door.load(), (0, 0));
}

#[tokio::test]
async fn who_fills_the_queue_makes_room_for_others_and_never_the_other_way_round() {
    let door = Admission::new(Some(1), 4);
    let now = Instant::now();
    let inside = free(door.enter(&rank("greedy", 1, 0), now));
    let wait = |tenant, weight, priority| match door.enter(&rank(tenant, weight, priority), now) {
        Ok(Entry::Wait(waiting)) => Some(waiting),
        Ok(Entry::Free(_)) => panic!("the door is taken"),
        Err(_) => None,
    };
    let urgent = wait("greedy", 1, 5).unwrap();
    let mut greedy: Vec<_> = (0..3).map(|_| wait("greedy", 1, 0).unwrap()).collect();
    assert!(wait("greedy", 1, 0).is_none(), "it makes no room for itself");
    let modest = wait("modest", 1, 0).unwrap();
    let full = greedy.pop().unwrap().turn().await.unwrap_err();
    assert_eq!(full.waiting, 4);
    let second = wait("modest", 1, 0);
    assert!(second.is_some() && wait("modest", 1, 0).is_none(), "no more than a fair share");
    let heavy = wait("heavy", 9, -1);
    assert!(heavy.is_none(), "nobody of a higher priority makes room");
    // One that had to go and left without noticing takes nobody's place.
    drop(greedy.pop());
    assert_eq!(door.load(), (4, 1));
    drop((inside, urgent, modest, second, greedy));
    assert_eq!(door.load(), (0, 0));
}

#[tokio::test]
async fn who_waits_for_room_is_told_when_a_place_or_a_stand_in_the_queue_comes_free() {
    let now = Instant::now();
    for queue in [0, 1] {
        let door = Admission::new(Some(1), queue);
        let inside = free(door.enter(&rank("a", 1, 0), now));
        let stands: Vec<_> = (0..queue).map(|_| door.enter(&rank("b", 1, 0), now).unwrap()).collect();
        let mut room = Box::pin(door.room());
        assert!((&mut room).now_or_never().is_none(), "nobody has left");
        if queue == 0 {
            drop(inside)
        } else {
            drop(stands)
        }
        room.now_or_never().expect("somebody has left");
        door.room().now_or_never().expect("there is room");
    }
}

#[test]
fn a_wider_door_lets_those_who_wait_in() {
    let door = Admission::new(Some(0), 5);
    let waiting: Vec<_> = (0..3).map(|_| door.enter(&rank("a", 1, 0), Instant::now()).unwrap()).collect();
    assert_eq!(door.load(), (3, 0));
    door.resize(Some(2), 5);
    assert_eq!(door.load(), (1, 2));
    drop(waiting);
    assert_eq!(door.load(), (0, 0));
}

proptest! {
    #[test]
    fn no_order_of_coming_and_leaving_loses_a_place(steps in proptest::collection::vec((0..4_u8, 0..8_usize), 0..200)) {
        let door = Admission::new(Some(3), 4);
        let mut held: Vec<Entry> = Vec::new();
        for (step, at) in steps {
            if step < 2 {
                if let Ok(entry) = door.enter(&rank(["t", "u", "v"][at % 3], 1, i32::from(step)), Instant::now()) {
                    held.push(entry);
                }
            } else if at < held.len() {
                held.swap_remove(at);
            }
            let (waiting, running) = door.load();
            prop_assert!(running <= 3 && waiting <= 4);
            prop_assert!(waiting == 0 || running == 3, "somebody waits before a free place");
            // Some that are held here had to make room, and count no more.
            prop_assert!(waiting + running <= held.len());
        }
        held.clear();
        prop_assert_eq!(door.load(), (0, 0));
    }
}

#[test]
fn a_breaker_opens_after_failures_in_a_row_and_lets_one_at_a_time_try() {
    let (breaker, now) = (Breaker::default(), Instant::now());
    breaker.failed(now);
    breaker.succeeded();
    for _ in 0..2 {
        breaker.failed(now);
        assert!(breaker.closed_for(now).is_zero());
    }
    breaker.failed(now);
    assert_eq!(breaker.closed_for(now), Duration::from_secs(1));
    let later = now + Duration::from_secs(1);
    assert!(breaker.closed_for(later).is_zero());
    breaker.begins(later);
    assert!(!breaker.closed_for(later).is_zero(), "a second one must wait for the first one's fate");
    breaker.failed(later);
    assert_eq!(breaker.closed_for(later), Duration::from_secs(2));
    breaker.succeeded();
    assert!(breaker.closed_for(later).is_zero());
}

#[test]
fn a_guard_that_outlives_its_request_is_counted_as_leaked_until_it_goes() {
    let permits = Arc::new(Permits::default());
    let ticket = permits.ticket();
    let (early, late) = (ticket.guard(|| {}), ticket.guard(|| {}));
    assert_eq!((permits.held(), permits.leaked(), permits.open()), (2, 0, 1));
    drop(early);
    drop(ticket);
    assert_eq!((permits.held(), permits.leaked(), permits.open()), (1, 1, 0));
    drop(late);
    assert_eq!((permits.held(), permits.leaked(), permits.open()), (0, 0, 0));
}

fn fleet(config: &Config, before: &Fleet) -> Fleet {
    Fleet::new(config, &[], before).unwrap()
}

fn two_backends() -> Config {
    let backend = |name: &str| {
        let bare = BackendConfig::new(name, "vllm", &format!("http://{name}:8001"));
        BackendConfig { concurrency: Some(4), ..bare }
    };
    let replica = |name: &str| ReplicaConfig { backend: name.to_owned(), ..ReplicaConfig::default() };
    let model =
        ModelConfig { name: "m".to_owned(), replicas: vec![replica("a"), replica("b")], ..ModelConfig::default() };
    Config { backends: vec![backend("a"), backend("b")], models: vec![model], ..Config::default() }
}

#[test]
fn the_least_loaded_replica_is_chosen_and_affinity_yields_to_load() {
    let fleet = fleet(&two_backends(), &Fleet::default());
    let model = fleet.resolve(Some("m")).unwrap();
    let permits = Arc::new(Permits::default());
    let ticket = permits.ticket();
    let choose = |fingerprint| model.choose(Route::Chat, &[], fingerprint, Instant::now()).unwrap();
    let first = choose(Some(7));
    let mut held = Vec::new();
    while choose(Some(7)) == first {
        held.push(model.replicas[first].backend.carry(&ticket));
        assert!(held.len() < 10, "affinity goes on at any load");
    }
    assert_eq!(held.len(), 3);
    assert_ne!(choose(None), first);
}

#[test]
fn a_replica_that_was_tried_or_is_paused_is_not_chosen() {
    let fleet = fleet(&two_backends(), &Fleet::default());
    let model = fleet.resolve(Some("m")).unwrap();
    assert_eq!(model.choose(Route::Chat, &[0], None, Instant::now()), Ok(1));
    for _ in 0..3 {
        model.replicas[1].backend.breaker.failed(Instant::now());
    }
    assert_eq!(model.choose(Route::Chat, &[], None, Instant::now()), Ok(0));
    assert_eq!(model.choose(Route::Chat, &[0], None, Instant::now()), Ok(1), "there is nobody else");
    let nobody = model.choose(Route::Chat, &[0, 1], None, Instant::now()).unwrap_err();
    assert!(matches!(nobody, ProxyError::NoReplica { .. }), "{nobody}");
}

#[test]
fn a_new_configuration_keeps_the_backends_that_did_not_change() {
    let config = two_backends();
    let before = fleet(&config, &Fleet::default());
    let mut changed = config.clone();
    changed.backends[1].concurrency = Some(9);
    let after = fleet(&changed, &before);
    assert!(Arc::ptr_eq(&before.backends[0], &after.backends[0]));
    assert!(!Arc::ptr_eq(&before.backends[1], &after.backends[1]));
    let door = |fleet: &Fleet| Arc::clone(&fleet.resolve(Some("m")).unwrap().admission);
    assert!(Arc::ptr_eq(&door(&before), &door(&after)), "those who wait stay in their queue");
}

#[test]
fn a_configuration_that_contradicts_itself_is_refused_with_the_name() {
    let wrong = |change: fn(&mut Config)| {
        let mut config = two_backends();
        change(&mut config);
        Fleet::new(&config, &[], &Fleet::default()).unwrap_err().to_string()
    };
    assert_eq!(wrong(|config| config.backends[1].name = "a".to_owned()), "backend 'a': is named twice");
    assert!(
        wrong(|config| config.backends[0].kind = "vlm".to_owned())
            .starts_with("backend 'a': kind 'vlm' is none of vllm, ")
    );
    assert!(wrong(|config| config.backends[0].base_url = "vllm:8001".to_owned()).contains("http://host:port/v1"));
    assert_eq!(
        wrong(|config| config.models[0].replicas[0].backend = "c".to_owned()),
        "model 'm': there is no backend 'c'"
    );
    let nothing = wrong(|config| config.models[0].replicas.clear());
    assert!(nothing.starts_with("model 'm': a model needs a replica or a fallback"), "{nothing}");
    assert_eq!(
        wrong(|config| config.models[0].aliases = vec!["m".to_owned()]),
        "model 'm': the name 'm' is taken twice"
    );
}
