//! What runs do when something goes wrong at the worst moment.

use crate::bench::{Bench, config};
use async_nats::jetstream;
use bus::TraceContext;
use domain::{
    Command, CommandKind, Envelope, EventDelivery, InboxMessage, Object, RunId, RunStatus, Time, Verdict, limits,
};
use futures::StreamExt;
use runner::Config;
use serde_json::json;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(20);

fn event(padding: usize) -> InboxMessage {
    let envelope = Envelope {
        event_id: None,
        name: "late".to_owned(),
        scope: "global".to_owned(),
        session_id: None,
        payload: Object::from_iter([("padding".to_owned(), json!("x".repeat(padding)))]),
        emitted_at: None,
        emitter: Object::new(),
    };
    InboxMessage::Event(EventDelivery { wait_key: "evt:global:global:late".to_owned(), envelope })
}

fn answer(run: &RunId) -> InboxMessage {
    let payload = json!({"payload": {"response": "me"}}).as_object().unwrap().clone();
    InboxMessage::Command { seq: 1, command: Box::new(command(run, "answer", CommandKind::Resume, payload)) }
}

fn command(run: &RunId, id: &str, kind: CommandKind, payload: Object) -> Command {
    Command {
        command_id: id.into(),
        run_id: run.clone(),
        kind,
        payload,
        ts: None,
        client_id: None,
        accepted_at: Time::from(jiff::Timestamp::now()),
    }
}

/// Lets every ledger stream hold so many messages; -1 is any number.
async fn limit_ledgers(js: &jetstream::Context, most: i64) {
    for shard in 0..2 {
        let found = js.get_stream(format!("GANTRY_LEDGER_{shard}")).await.unwrap();
        let config = jetstream::stream::Config { max_messages: most, ..found.cached_info().config.clone() };
        js.update_stream(config).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effects_answer_outlives_the_appends_that_fail_and_a_full_store_ends_no_run() {
    let bench = Bench::without_runner().await;
    let client = async_nats::connect(bench.server.url()).await.unwrap();
    let js = jetstream::new(client.clone());
    limit_ledgers(&js, 1).await;
    // Sees appends whether they are stored or refused.
    let mut appends = client.subscribe("gantry.ledger.>").await.unwrap();
    client.flush().await.unwrap();
    bench.spawn_runner(config());
    let run = bench.begin("51-global-event-envelope", "emits", json!({})).await;
    // The first step, then more tries than one append makes: the second step is given up and made anew.
    for _ in 0..15 {
        tokio::time::timeout(WITHIN, appends.next()).await.expect("the step is tried again").unwrap();
    }
    limit_ledgers(&js, -1).await;
    let head = bench.until(&run, "waiting", |head| head.state.waiting.is_some()).await;
    assert_eq!(head.state.status, RunStatus::Waiting, "{:?}", head.state.error);
    bench.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_behind_more_messages_than_one_read_brings_is_taken_in() {
    let bench = Bench::without_runner().await;
    let large = bench.begin("13-ask-user", "large", json!({})).await;
    let many = bench.begin("13-ask-user", "many", json!({})).await;
    for n in 0..4 {
        bench.send(&large, &format!("e{n}"), &event(3_000_000)).await;
    }
    for n in 0..2 * limits::MESSAGES_PER_STEP + 10 {
        bench.send(&many, &format!("e{n}"), &event(1)).await;
    }
    for run in [&large, &many] {
        bench.send(run, "answer", &answer(run)).await;
    }
    bench.spawn_runner(config());
    for run in [&large, &many] {
        assert_eq!(bench.ended(run).await.state.status, RunStatus::Completed);
    }
    bench.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_step_at_a_time_still_serves_every_shard() {
    let bench = Bench::without_runner().await;
    bench.spawn_runner(Config { concurrency: 1, ..config() });
    for n in 0..6 {
        let run = bench.begin("01-echo-answer-user", &format!("echo-{n}"), json!({"prompt": "hi"})).await;
        assert_eq!(bench.ended(&run).await.state.status, RunStatus::Completed);
    }
    bench.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_was_passed_on_to_a_run_that_never_came_to_be_is_not_refused_for_the_run_it_names() {
    let bench = Bench::start().await;
    let (named, ghost) = (RunId::new("named"), RunId::new("ghost"));
    let passed = command(&named, "passed", CommandKind::Cancel, Object::new());
    bench.send(&ghost, "passed", &InboxMessage::Command { seq: 1, command: Box::new(passed) }).await;
    let own = command(&ghost, "own", CommandKind::Cancel, Object::new());
    bench.send(&ghost, "own", &InboxMessage::Command { seq: 2, command: Box::new(own) }).await;
    let refused = settled(&bench, "own").await;
    assert!(matches!(refused, Verdict::Refused { .. }), "{refused:?}");
    let outcomes = bench.bus.outcomes(&bench.plane);
    assert_eq!(outcomes.find(&"passed".into()).await.unwrap(), None);
    bench.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_no_inbox_takes_is_refused_and_keeps_none_back() {
    let bench = Bench::start().await;
    let run = RunId::new("r".repeat(120));
    let log = bench.bus.commands(&bench.plane);
    let mut size = limits::MESSAGE_BYTES;
    // The largest that the command log takes: with the place in the log around it, it is too large for an inbox.
    loop {
        let payload = Object::from_iter([("reason".to_owned(), json!("x".repeat(size)))]);
        let largest = command(&run, "largest", CommandKind::Cancel, payload);
        match log.accept(&largest, &TraceContext::default()).await {
            Ok(_) => break,
            Err(error) => assert!(size > limits::MESSAGE_BYTES / 2, "{error}"),
        }
        size -= 8;
    }
    bench.command(&run, "next", CommandKind::Cancel, json!({})).await;
    for id in ["largest", "next"] {
        let verdict = settled(&bench, id).await;
        assert!(matches!(verdict, Verdict::Refused { .. }), "{id}: {verdict:?}");
    }
    bench.tasks.stop(Duration::from_secs(5)).await;
}

/// What became of a command, once it is known.
async fn settled(bench: &Bench, id: &str) -> Verdict {
    let found = async {
        loop {
            if let Some(outcome) = bench.bus.outcomes(&bench.plane).find(&id.into()).await.unwrap() {
                return outcome.verdict;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(WITHIN, found).await.unwrap_or_else(|_| panic!("{id} is not settled"))
}
