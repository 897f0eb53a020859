//! Ledgers on a real broker: appended, replayed, followed.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use bus::{Bus, BusOptions, Connection, TraceContext};
use domain::{Object, Plane, RunId, Source, StartRun, Time, limits};
use flow::State;
use ledger::{Append, Appended, Feed, Head, Ledger, LedgerError};
use nats_process::Server;
use serde_json::{Value, json, value::to_raw_value};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

struct World {
    _server: Server,
    bus: Bus,
    ledger: Ledger,
    plane: Plane,
    writes: AtomicU64,
}

impl World {
    async fn start() -> Self {
        let server = Server::builder().start().await.unwrap();
        let connection = Connection { urls: vec![server.url()], name: "test".to_owned(), ..Default::default() };
        let bus = bus::connect(&connection, BusOptions { shards: Some(1), replicas: 1 }).await.unwrap();
        let plane = Plane::main();
        Self { ledger: Ledger::new(&bus, &plane), _server: server, bus, plane, writes: AtomicU64::new(0) }
    }

    /// Stores a step with so many records of that size.
    async fn append(&self, previous: Option<&Head>, state: State, size: usize, count: u64) -> Appended {
        self.try_append(previous, state, size, count).await.unwrap()
    }

    async fn try_append(
        &self,
        previous: Option<&Head>,
        mut state: State,
        size: usize,
        count: u64,
    ) -> Result<Appended, LedgerError> {
        let first = state.cursor + 1;
        state.cursor += count;
        let records: Vec<Value> =
            (first..=state.cursor).map(|cursor| json!({"cursor": cursor, "padding": "x".repeat(size)})).collect();
        let append = Append {
            previous,
            writer: format!("writer-{}", self.writes.fetch_add(1, Ordering::Relaxed)),
            records: &to_raw_value(&records).unwrap(),
            state,
            effects: Vec::new(),
            outcomes: Vec::new(),
            inbox_cursor: 1,
            doorbell: 1,
            delivery: 1,
            trace: &TraceContext::default(),
        };
        self.ledger.append(append).await
    }

    async fn stored(&self, previous: Option<&Head>, state: State, size: usize, count: u64) -> Head {
        match self.append(previous, state, size, count).await {
            Appended::Stored(head) => *head,
            Appended::Fenced => panic!("the fence did not hold"),
        }
    }
}

fn state(run: &str) -> State {
    let start = StartRun {
        run_id: RunId::new(run),
        workflow_id: "b@1:main".into(),
        source: Source::Bundle { sha256: "0".to_owned() },
        vars: Object::new(),
        session_id: "s".into(),
        actor_id: "gateway".to_owned(),
        parent_run_id: None,
        report_to_parent: false,
        created_at: Time::from(jiff::Timestamp::now()),
        request_digest: None,
    };
    flow::start(&start, "start")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cursor_and_limit_gives_the_records_behind_it_without_a_gap() {
    let world = World::start().await;
    let mut head = world.stored(None, state("r"), 10, 1).await;
    // Other runs lie between, steps hold none, one or several records, and there are more than marks are apart.
    for step in 0..400_u64 {
        let next = world.stored(Some(&head), head.state.clone(), 10, step % 3).await;
        assert_eq!(next.before, head.state.cursor);
        head = next;
        if step % 50 == 0 {
            world.stored(None, state(&format!("other-{step}")), 10, 2).await;
        }
    }
    let (run, total) = (RunId::new("r"), head.state.cursor);
    for (after, limit) in [(0, 1_000), (0, 1), (1, 7), (127, 200), (128, 1), (300, 64), (total - 1, 9), (total, 9)] {
        let page = world.ledger.records(&run, after, limit).await.unwrap().unwrap();
        let cursors: Vec<u64> = page.items.iter().map(|item| item.cursor).collect();
        let wanted: Vec<u64> = (after + 1..=total).take(limit).collect();
        assert_eq!((cursors, page.total), (wanted, total), "after {after}, at most {limit}");
        for item in &page.items {
            let record: Value = serde_json::from_str(item.record.get()).unwrap();
            assert_eq!(record["cursor"], item.cursor);
        }
    }
    assert!(world.ledger.records(&RunId::new("nobody"), 0, 1).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_state_lies_beside_the_message_and_only_the_last_one_is_kept() {
    let world = World::start().await;
    let run = RunId::new("large");
    let with = |mut state: State, letter: &str| {
        state.vars.insert("text".to_owned(), letter.repeat(limits::INLINE_STATE_BYTES).into());
        state
    };
    let first = world.stored(None, with(state("large"), "a"), 1, 1).await;
    let second = world.stored(Some(&first), with(first.state.clone(), "b"), 1, 1).await;
    let (old, new) = (first.state_blob.as_ref().unwrap(), second.state_blob.as_ref().unwrap());
    assert_eq!(world.bus.blobs().get(old).await.unwrap(), None, "the state before is given up");
    let head = world.ledger.head(&run).await.unwrap().unwrap();
    assert!(head.state == second.state);
    assert!(world.ledger.head_at_leader(&run).await.unwrap().unwrap().state == second.state);
    let summary = world.ledger.summary(&run).await.unwrap().unwrap();
    assert_eq!((summary.cursor, summary.status), (2, second.state.status));
    // A step that loses the fence leaves the state of the one that won alone, and nothing of its own behind. Nor does one
    // that can never be stored.
    assert!(matches!(world.append(Some(&first), with(first.state.clone(), "c"), 1, 1).await, Appended::Fenced));
    assert_eq!(world.bus.blobs().get("state/large/writer-2").await.unwrap(), None);
    let huge = world.try_append(Some(&second), with(second.state.clone(), "d"), limits::MESSAGE_BYTES, 1).await;
    assert!(matches!(huge, Err(LedgerError::TooLarge { .. })), "{huge:?}");
    assert_eq!(world.bus.blobs().get("state/large/writer-3").await.unwrap(), None);
    assert!(world.bus.blobs().get("state/large/writer-1").await.unwrap().is_some());
    assert!(world.ledger.head(&run).await.unwrap().unwrap().state == second.state);
    let mut small = second.state.clone();
    small.vars.clear();
    let third = world.stored(Some(&second), small, 1, 1).await;
    assert_eq!((third.state_blob, world.bus.blobs().get(new).await.unwrap()), (None, None));
    world.ledger.purge(&run).await.unwrap();
    assert!(world.ledger.head(&run).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_with_more_records_than_a_message_holds_is_refused_and_nothing_of_it_stays() {
    let world = World::start().await;
    let refused = world.try_append(None, state("huge"), limits::MESSAGE_BYTES, 1).await;
    assert!(matches!(refused, Err(LedgerError::TooLarge { .. })), "{refused:?}");
    assert!(world.ledger.head(&RunId::new("huge")).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_hears_each_step_of_its_run_and_learns_when_it_was_too_slow() {
    let world = World::start().await;
    let (feed, run) = (Feed::default(), RunId::new("r"));
    let mut tail = world.bus.follow(0, 1);
    let (mut quick, mut slow) = (feed.subscribe(&world.plane, &run), feed.subscribe(&world.plane, &run));
    let mut head = world.stored(None, state("r"), 1, 1).await;
    for step in 0..100_u64 {
        let message = tokio::time::timeout(Duration::from_secs(10), tail.next()).await.unwrap();
        feed.publish(&message);
        let heard = quick.next().await.unwrap();
        assert_eq!((heard.before, heard.records.len(), heard.terminal), (step, 1, false));
        head = world.stored(Some(&head), head.state.clone(), 1, 1).await;
    }
    assert!(slow.next().await.is_err(), "it lags behind by more than is kept");
    drop((quick, slow));
    assert_eq!(feed.followed(), 0, "nothing is kept for a run that nobody follows");
}
