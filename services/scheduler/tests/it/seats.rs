//! Seats of proxies over a real broker: what they start, keep and let go, over the death of whoever holds or grants them.

use crate::containers::{host, image, register, view};
use crate::world::World;
use bus::control::OfferTail;
use domain::control::{ModelOffer, OfferStage, SeatWish, Seats, ServiceName, ServiceState, ServiceWant};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

fn wish(waiting: bool, in_use_since: Option<u64>) -> SeatWish {
    SeatWish { priority: 3, waiting, in_use_since }
}

async fn say(world: &World, holder: &str, revision: u64, wishes: &[(&str, SeatWish)]) {
    let wishes: BTreeMap<ServiceName, SeatWish> = wishes.iter().map(|(name, wish)| ((*name).into(), *wish)).collect();
    world.bus.say_seats(&Seats { holder: holder.to_owned(), revision, wishes }).await.unwrap();
}

/// The next offer of a service that is as expected.
async fn offer(offers: &mut OfferTail, service: &str, holds: impl Fn(&ModelOffer) -> bool) -> ModelOffer {
    let mut last = None;
    let found = timeout(Duration::from_secs(20), async {
        loop {
            let update = offers.next().await;
            if update.service.as_str() != service {
                continue;
            }
            last = update.offer;
            if let Some(offer) = last.as_deref().filter(|offer| holds(offer)) {
                return offer.clone();
            }
        }
    });
    let found = found.await;
    found.unwrap_or_else(|_| panic!("no such offer of {service}; the last was {last:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_starts_a_service_which_stays_while_it_is_used_and_goes_when_it_is_not() {
    let world = World::start().await;
    let one = image(4_096);
    let host = host(&world, &[("one", &one)]).await;
    register(&world, "one", &one, |more| {
        more.models = vec!["tiny".to_owned()];
        more.idle_timeout_ms = Some(300);
    })
    .await;
    let mut offers = world.bus.offers();
    offer(&mut offers, "one", |offer| offer.stage == OfferStage::Stopped && offer.models == ["tiny"]).await;
    say(&world, "p", 1, &[("one", wish(true, Some(1)))]).await;
    let ready = offer(&mut offers, "one", |offer| offer.stage == OfferStage::Ready).await;
    assert_eq!(ready.seated, BTreeMap::from([("p".to_owned(), 1)]), "its use is stored by then");
    assert_eq!(ready.address.as_deref(), Some(&*format!("http://127.0.0.1:{}", one.port)));
    say(&world, "p", 2, &[("one", wish(false, Some(1)))]).await;
    // Longer than its idle time: jobs come and go, and the service stays.
    for _ in 0..4 {
        let job = world.run("one", &json!({"sleep_ms": 150})).await;
        world.ended(&job).await;
    }
    assert_eq!(view(&world, "one").await.state, ServiceState::Busy, "requests use it");
    say(&world, "p", 3, &[]).await;
    world.control.service_when(&"one".into(), ServiceWant::Down, crate::world::SOON).await.unwrap().unwrap();
    assert!(host.running().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seat_of_a_proxy_that_died_runs_out_and_one_that_speaks_keeps_it_over_the_death_of_the_leader() {
    let mut world = World::start().await;
    let one = image(4_096);
    let _host = host(&world, &[("one", &one)]).await;
    register(&world, "one", &one, |more| {
        more.models = vec!["tiny".to_owned()];
        more.idle_timeout_ms = Some(100);
    })
    .await;
    let mut offers = world.bus.offers();
    say(&world, "p", 1, &[("one", wish(true, Some(1)))]).await;
    let ready = offer(&mut offers, "one", |offer| offer.stage == OfferStage::Ready).await;
    world.scheduler().await;
    world.kill_first();
    // Another leads: it says everything anew, and what was in use still is.
    say(&world, "p", 2, &[("one", wish(false, Some(1)))]).await;
    let mut again = world.bus.offers();
    let kept = offer(&mut again, "one", |offer| offer.stage == OfferStage::Ready && !offer.seated.is_empty()).await;
    assert_eq!(kept.generation, ready.generation, "it was not started again");
    // Now nobody speaks any more.
    let gone = offer(&mut offers, "one", |offer| offer.stage == OfferStage::Stopped).await;
    assert!(gone.seated.is_empty() && gone.waiting.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_that_can_never_be_met_is_told_so_with_numbers() {
    let world = World::start().await;
    let huge = image(800_000);
    let _host = host(&world, &[("huge", &huge)]).await;
    register(&world, "huge", &huge, |more| more.models = vec!["huge".to_owned()]).await;
    let mut offers = world.bus.offers();
    say(&world, "p", 1, &[("huge", wish(true, Some(1)))]).await;
    let told = offer(&mut offers, "huge", |offer| offer.waiting.is_some()).await;
    let wait = told.waiting.unwrap();
    assert!(wait.hopeless && wait.text.contains("800000") && wait.reason["because"] == "no_room", "{wait:?}");
}
