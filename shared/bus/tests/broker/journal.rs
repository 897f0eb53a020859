//! Ledgers: the fence, paging and following.

use crate::{soon, start};
use bus::{Bus, Commit, CommitOutcome, TraceContext};
use domain::{Plane, RunId};

async fn commit(bus: &Bus, run: &RunId, expected: u64, body: Vec<u8>) -> CommitOutcome {
    let trace = TraceContext { traceparent: None, request_id: Some("request-1".to_owned()) };
    let commit = Commit {
        run,
        expected,
        inbox_cursor: expected + 5,
        effects: 0,
        writer: &format!("writer-{expected}"),
        body: body.into(),
        trace: &trace,
    };
    bus.journal(&Plane::main()).commit(&commit).await.unwrap()
}

async fn stored(bus: &Bus, run: &RunId, expected: u64, body: Vec<u8>) -> u64 {
    match commit(bus, run, expected, body).await {
        CommitOutcome::Stored(sequence) => sequence,
        CommitOutcome::Fenced => panic!("the fence {expected} did not hold"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_of_many_writers_passes_a_fence_and_the_rest_learn_it() {
    let (_server, bus, plane) = start().await;
    let run = RunId::new("fenced");
    let first = stored(&bus, &run, 0, b"1".to_vec()).await;
    let tries = (0..16).map(|_| commit(&bus, &run, first, b"2".to_vec()));
    let outcomes = futures::future::join_all(tries).await;
    let passed = outcomes.iter().filter(|outcome| matches!(outcome, CommitOutcome::Stored(_))).count();
    assert_eq!(passed, 1, "{outcomes:?}");
    assert_eq!(commit(&bus, &run, 0, b"x".to_vec()).await, CommitOutcome::Fenced, "a run begins once");
    let journal = bus.journal(&plane);
    let last = journal.last(&run).await.unwrap().unwrap();
    assert_eq!((last.body.as_ref(), last.inbox_cursor), (b"2".as_ref(), first + 5));
    assert_eq!(journal.last_at_leader(&run).await.unwrap().unwrap().sequence, last.sequence);
    assert!(journal.last(&RunId::new("nobody")).await.unwrap().is_none());
    assert!(journal.last_at_leader(&RunId::new("nobody")).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_ledger_join_without_a_gap_whether_counts_or_bytes_end_them() {
    let (_server, bus, plane) = start().await;
    for (name, size, limit) in [("small", 10, 7), ("large", 3_000_000, 100)] {
        let run = RunId::new(name);
        let mut written = Vec::new();
        for _ in 0..10 {
            let expected = written.last().copied().unwrap_or(0);
            written.push(stored(&bus, &run, expected, vec![b'x'; size]).await);
        }
        let (mut from, mut found, mut pages) = (1, Vec::new(), 0);
        loop {
            let (page, more) = bus.journal(&plane).read(&run, from, limit).await.unwrap();
            pages += 1;
            found.extend(page.iter().map(|step| step.sequence));
            from = found.last().copied().unwrap_or(0) + 1;
            if !more {
                break;
            }
        }
        assert_eq!(found, written, "{name}");
        assert!(pages > 1, "{name} was read in one piece");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_every_step_once_and_in_order_over_a_restart_of_the_broker() {
    let (mut server, bus, plane) = start().await;
    let run = RunId::new("followed");
    let shard = bus.journal(&plane).shard(&run);
    let mut tail = bus.follow(shard, 1);
    let mut last = 0;
    for _ in 0..3 {
        last = stored(&bus, &run, last, b"before".to_vec()).await;
    }
    for sequence in 1..=2 {
        assert_eq!(soon(tail.next()).await.sequence, sequence);
    }
    server.kill9().await;
    server.restart().await.unwrap();
    for _ in 0..3 {
        last = stored(&bus, &run, last, b"after".to_vec()).await;
    }
    for sequence in 3..=6 {
        assert_eq!(soon(tail.next()).await.sequence, sequence);
    }
    assert_eq!(bus.shard_end(shard).await.unwrap(), 6);
    let mut late = bus.follow(shard, 5);
    assert_eq!(soon(late.next()).await.sequence, 5, "a reader begins where it is told to");
}
