//! Model requests that became jobs, as every proxy sees them.

use crate::{connect, soon, start};
use bytes::Bytes;
use domain::Time;
use domain::deferred::{DeferredCaller, DeferredJob, DeferredStatus, StoredBody, id_of_key};
use std::time::Duration;

const KEEP: Duration = Duration::from_secs(60);

fn job() -> DeferredJob {
    let caller = DeferredCaller::without_key("key:a", "a");
    DeferredJob::new(id_of_key("key:a", "k"), caller, "/", Time::from_micros(0), Time::from_micros(1))
}

#[tokio::test]
async fn of_two_who_take_the_same_job_one_has_it_and_all_who_follow_see_who() {
    let (server, bus, _) = start().await;
    let jobs = bus.deferred();
    let first = jobs.write(&job(), 0, KEEP).await.unwrap().unwrap();
    assert_eq!(jobs.write(&job(), 0, KEEP).await.unwrap(), None, "it is there already");
    let mut following = connect(&server).await.deferred().follow();
    assert_eq!(soon(following.next()).await, (first, job()));
    let (a, b) = (job().taken_by("a"), job().taken_by("b"));
    let (by_a, by_b) = tokio::join!(jobs.write(&a, first, KEEP), jobs.write(&b, first, KEEP));
    let (by_a, by_b) = (by_a.unwrap(), by_b.unwrap());
    assert!(by_a.is_some() != by_b.is_some(), "{by_a:?} {by_b:?}");
    let (sequence, taken) = soon(following.next()).await;
    assert_eq!((Some(sequence), taken.clone()), if by_a.is_some() { (by_a, a) } else { (by_b, b) });
    assert_eq!(jobs.read(&job().id).await.unwrap(), Some((taken, sequence)));
    jobs.forget(&job().id).await.unwrap();
    assert_eq!(jobs.read(&job().id).await.unwrap(), None);
}

#[tokio::test]
async fn a_body_of_any_size_is_kept_in_parts_and_one_that_lacks_a_part_is_none() {
    let (_server, bus, _) = start().await;
    let jobs = bus.deferred();
    for size in [0, 1, 1 << 20, (2 << 20) + 17] {
        let bytes: Bytes = (0..size).map(|at| (at % 251) as u8).collect::<Vec<u8>>().into();
        let stored = jobs.store("job_1", "a1", &bytes, KEEP).await.unwrap();
        assert_eq!(u64::from(stored.parts), (size as u64).div_ceil(1 << 20));
        assert_eq!(jobs.body("job_1", &stored).await.unwrap(), Some(bytes), "{size}");
        let more = StoredBody { parts: stored.parts + 1, ..stored };
        assert_eq!(jobs.body("job_1", &more).await.unwrap(), None);
        jobs.drop_body("job_1", "a1").await.unwrap();
    }
}

#[tokio::test]
async fn a_job_that_has_ended_goes_by_itself_and_one_that_waits_does_not() {
    let (_server, bus, _) = start().await;
    let jobs = bus.deferred();
    let waits = DeferredJob { id: id_of_key("key:a", "other"), ..job() };
    jobs.write(&waits, 0, Duration::from_secs(1)).await.unwrap().unwrap();
    let ended = job().ended(DeferredStatus::Cancelled, None, Time::from_micros(2));
    jobs.write(&ended, 0, Duration::from_secs(1)).await.unwrap().unwrap();
    soon(async {
        while jobs.read(&ended.id).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(jobs.read(&waits.id).await.unwrap().is_some());
}

#[tokio::test]
async fn who_says_that_it_lives_is_heard() {
    let (server, bus, _) = start().await;
    let mut holders = connect(&server).await.deferred().holders().await.unwrap();
    soon(async {
        loop {
            bus.deferred().say_alive("p").await.unwrap();
            if let Ok(heard) = tokio::time::timeout(Duration::from_millis(200), holders.next()).await {
                assert_eq!(heard.as_deref(), Some("p"));
                return;
            }
        }
    })
    .await;
}
