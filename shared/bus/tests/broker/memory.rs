//! What lies in the broker's memory, which a broker that was killed has lost.

use crate::{WITHIN, soon, start};
use bus::BusError;
use std::time::{Duration, Instant};

/// Tries until it succeeds, as whoever renews or reports does.
async fn at_last<T>(what: &str, mut act: impl AsyncFnMut() -> Result<T, BusError>) -> T {
    let deadline = Instant::now() + WITHIN;
    loop {
        match act().await {
            Ok(done) => return done,
            Err(error) => assert!(Instant::now() < deadline, "{what}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_broker_that_was_killed_can_be_led_on_and_reported_to_again() {
    let (mut server, bus, _) = start().await;
    let kept = bus.clone();
    let test = async {
        let mut lease = bus.take_lease("one").await.unwrap().unwrap();
        for _ in 0..2 {
            server.kill9().await;
            server.restart().await.unwrap();
            assert!(at_last("the lease", async || lease.renew().await).await, "it is ours");
            assert!(at_last("the lease", async || lease.renew().await).await, "it is stored again");
            assert!(bus.take_lease("two").await.unwrap().is_none(), "two lead at once");
            at_last("reports of hosts", async || bus.nodes().reports().await).await;
            at_last("limits of keys", async || bus.leases().read("key").await).await;
        }
    };
    tokio::select! {
        () = kept.keep_memory() => panic!("it waits for ever"),
        () = soon(test) => {}
    }
}

#[tokio::test]
async fn who_gives_up_a_lease_that_is_anothers_by_now_takes_it_from_nobody() {
    let (mut server, bus, _) = start().await;
    let kept = bus.clone();
    let test = async {
        let first = bus.take_lease("one").await.unwrap().unwrap();
        server.kill9().await;
        server.restart().await.unwrap();
        let second = at_last("another's lease", async || bus.take_lease("two").await).await;
        let mut second = second.expect("the broker has forgotten the first");
        first.release().await;
        assert!(bus.take_lease("three").await.unwrap().is_none(), "the second's was given up for it");
        assert!(second.renew().await.unwrap());
        second.release().await;
        assert!(bus.take_lease("three").await.unwrap().is_some(), "it was not given up");
    };
    tokio::select! {
        () = kept.keep_memory() => panic!("it waits for ever"),
        () = soon(test) => {}
    }
}
