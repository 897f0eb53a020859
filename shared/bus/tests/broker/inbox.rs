//! Inboxes, timers, waits and the command log.

use crate::{soon, start};
use bus::{BusError, TraceContext};
use bytes::Bytes;
use domain::{Command, CommandKind, Object, Plane, RunId, Time, limits};
use std::time::Duration;

fn command(id: &str, run: &str) -> Command {
    Command {
        command_id: id.into(),
        run_id: RunId::new(run),
        kind: CommandKind::Pause,
        payload: Object::new(),
        ts: None,
        client_id: None,
        accepted_at: Time::from(jiff::Timestamp::now()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_command_id_is_told_the_first_ones_place_whatever_run_it_names() {
    let (_server, bus, plane) = start().await;
    let (log, trace) = (bus.commands(&plane), TraceContext::default());
    let first = command("c1", "run-a");
    let accepted = log.accept(&first, &trace).await.unwrap();
    assert_eq!((accepted.seq, accepted.duplicate), (1, false));
    assert_eq!(log.accept(&command("c2", "run-a"), &trace).await.unwrap().seq, 2);
    let other = log.accept(&command("c1", "run-b"), &trace).await.unwrap();
    assert_eq!((other.seq, other.duplicate), (1, true));
    let same = log.accept(&first, &trace).await.unwrap();
    assert_eq!((same.seq, same.duplicate), (1, false), "the very same command is no second one");
    assert_eq!(log.accept(&command("c3", "run-a"), &trace).await.unwrap().seq, 3, "a refused one leaves no gap");
    assert_eq!(log.find(&"c1".into()).await.unwrap().unwrap().command, first);
    assert_eq!(log.find(&"c4".into()).await.unwrap(), None);
    let mut route = bus.commands_to_route(&plane);
    for seq in 1..=3 {
        let delivery = soon(route.next()).await;
        assert_eq!(delivery.sequence, seq);
        delivery.ack().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_is_one_message_in_an_inbox_and_another_in_the_next() {
    let (_server, bus, plane) = start().await;
    let elsewhere = Plane::new("main", "other").unwrap();
    let (trace, run) = (TraceContext::default(), RunId::new("r"));
    let (ours, theirs) = (bus.inbox(&plane), bus.inbox(&elsewhere));
    let body = Bytes::from_static(b"{}");
    let first = ours.send(&run, "command-1", &body, &trace).await.unwrap();
    let again = ours.send(&run, "command-1", &body, &trace).await.unwrap();
    assert_eq!((again.sequence, first.duplicate, again.duplicate), (first.sequence, false, true));
    theirs.send(&run, "command-1", &body, &trace).await.unwrap();
    for n in 0..40 {
        ours.send(&RunId::new(format!("r{n}")), "command-1", &body, &trace).await.unwrap();
        assert_eq!(ours.pending(&RunId::new(format!("r{n}")), 0).await.unwrap().0.len(), 1);
    }
    assert_eq!(ours.pending(&run, 0).await.unwrap().0.len(), 1);
    assert_eq!(theirs.pending(&run, 0).await.unwrap().0.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_gone_and_what_is_not_comes_again() {
    let (_server, bus, plane) = start().await;
    let (trace, run) = (TraceContext::default(), RunId::new("r"));
    let inbox = bus.inbox(&plane);
    let sequence = inbox.send(&run, "1", &Bytes::from_static(b"{}"), &trace).await.unwrap().sequence;
    assert_eq!(inbox.newest(&run).await.unwrap().unwrap().sequence, sequence);
    let shard = bus.journal(&plane).shard(&run);
    let mut bells = bus.doorbells(shard, 8);
    let first = soon(bells.next()).await;
    assert_eq!((first.sequence, first.delivery(), first.is_for(&run)), (sequence, 1, true));
    drop(bells);
    let mut bells = bus.doorbells(shard, 8);
    let second = soon(bells.next()).await;
    assert_eq!((second.sequence, second.delivery()), (sequence, 2));
    assert!(inbox.holds(&run, sequence).await.unwrap());
    assert_eq!(bus.sweep(shard, 0).await.unwrap(), 0, "what was not acknowledged is not swept");
    assert!(inbox.holds(&run, sequence).await.unwrap());
    second.ack().await;
    soon(async {
        while inbox.holds(&run, sequence).await.unwrap() {
            bus.sweep(shard, 0).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    assert!(inbox.newest(&run).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_is_refused_here_and_keeps_the_connection() {
    let (_server, bus, plane) = start().await;
    let (trace, run) = (TraceContext::default(), RunId::new("r"));
    let connects = *bus.connects().borrow();
    // Within the limit, but not with its headers.
    let body = Bytes::from(vec![b'x'; limits::MESSAGE_BYTES - 10]);
    let sent = bus.inbox(&plane).send(&run, "1", &body, &trace).await;
    assert!(matches!(sent, Err(BusError::TooLarge { .. })), "{sent:?}");
    assert_eq!(*bus.connects().borrow(), connects);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_armed_timer_rings_once_a_cancelled_one_never_and_a_second_arm_replaces_the_first() {
    let (_server, bus, plane) = start().await;
    let run = RunId::new("timed");
    let timers = bus.timers(&plane);
    let now = jiff::Timestamp::now();
    let at = |millis: i64| Time::from(now + jiff::SignedDuration::from_millis(millis));
    timers.arm(&run, "cancelled", at(600), &Bytes::from_static(b"\"cancelled\"")).await.unwrap();
    timers.arm(&run, "late", at(60_000), &Bytes::from_static(b"\"late\"")).await.unwrap();
    timers.arm(&run, "late", at(1_000), &Bytes::from_static(b"\"replaced\"")).await.unwrap();
    timers.cancel(&run, "cancelled").await.unwrap();
    timers.cancel(&run, "never-armed").await.unwrap();
    timers.arm(&run, "past", at(-1_000), &Bytes::from_static(b"\"past\"")).await.unwrap();
    let mut bells = bus.doorbells(bus.journal(&plane).shard(&run), 8);
    let mut rung = Vec::new();
    for _ in 0..2 {
        let bell = soon(bells.next()).await;
        bell.ack().await;
        rung.push(String::from_utf8(bell.body.to_vec()).unwrap());
    }
    assert_eq!(rung, ["\"past\"", "\"replaced\""]);
    assert!(jiff::Timestamp::now() >= now + jiff::SignedDuration::from_millis(1_000), "never early");
    // The cancelled one was due before the last that rang, so it would be here too.
    assert_eq!(bus.inbox(&plane).pending(&run, 0).await.unwrap().0.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_found_by_key_until_it_is_forgotten() {
    let (_server, bus, plane) = start().await;
    let waits = bus.waits(&plane);
    let key = "evt:session:a b.*>:news";
    for name in ["r1", "r2", "r1"] {
        waits.register(key, &RunId::new(name)).await.unwrap();
    }
    waits.register("evt:session:a:other", &RunId::new("r3")).await.unwrap();
    assert_eq!(waits.find(key).await.unwrap(), [RunId::new("r1"), RunId::new("r2")]);
    waits.forget(key, &RunId::new("r1")).await.unwrap();
    assert_eq!(waits.find(key).await.unwrap(), [RunId::new("r2")]);
    assert!(waits.find("nobody").await.unwrap().is_empty());
}
