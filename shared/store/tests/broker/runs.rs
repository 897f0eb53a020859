//! The list of runs: filled from ledgers, idempotent, and never behind its own positions.

use crate::connect;
use bus::{Bus, TraceContext};
use domain::{Object, Plane, RunId, RunStatus, Source, StartRun, Time};
use flow::State;
use ledger::{Append, Appended, Feed, Head, Ledger, Summary};
use nats_process::Server;
use serde_json::{json, value::to_raw_value};
use std::time::Duration;
use store::runs::{Filter, Projector, Runs};

const WITHIN: Duration = Duration::from_secs(15);

fn state(run: &str, parent: Option<&str>, vars: serde_json::Value) -> State {
    let start = StartRun {
        run_id: RunId::new(run),
        workflow_id: if run.starts_with("__") { "__schedule:x".into() } else { "b@1:main".into() },
        source: Source::Bundle { sha256: "0".to_owned() },
        vars: vars.as_object().cloned().unwrap_or_else(Object::new),
        session_id: if run.starts_with('s') { "sessions\0zero".into() } else { "plain".into() },
        actor_id: "gateway".to_owned(),
        parent_run_id: parent.map(RunId::new),
        report_to_parent: false,
        created_at: Time::from(jiff::Timestamp::now()),
        request_digest: None,
    };
    flow::start(&start, "start")
}

async fn store(bus: &Bus, previous: Option<&Head>, mut state: State) -> Head {
    state.cursor += 1;
    state.updated_at = Time::from(jiff::Timestamp::now());
    let append = Append {
        previous,
        writer: format!("w-{}-{}", state.run_id, state.cursor),
        records: &to_raw_value(&json!([{"n": state.cursor}])).unwrap(),
        state,
        effects: Vec::new(),
        outcomes: Vec::new(),
        inbox_cursor: 1,
        doorbell: 1,
        delivery: 1,
        trace: &TraceContext::default(),
    };
    match Ledger::new(bus, &Plane::main()).append(append).await.unwrap() {
        Appended::Stored(head) => *head,
        Appended::Fenced => panic!("the fence did not hold"),
    }
}

/// An api process as far as the list is concerned; its tasks end with the test.
fn project(bus: &Bus, runs: &Runs) -> Projector {
    let projector = Projector::new(bus, runs, &Feed::default());
    for shard in 0..bus.layout().shards {
        let projector = projector.clone();
        #[expect(clippy::disallowed_methods, reason = "a test has no service around it")]
        tokio::spawn(async move { projector.follow(shard).await });
    }
    let writer = projector.clone();
    #[expect(clippy::disallowed_methods, reason = "a test has no service around it")]
    tokio::spawn(async move { writer.write().await });
    projector
}

async fn ids(runs: &Runs, filter: Filter) -> Vec<String> {
    let rows = runs.list(&Plane::main(), &Filter { limit: 100, ..filter }).await.unwrap();
    rows.into_iter().map(|row| row.run_id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_shows_each_run_as_its_last_step_left_it_and_filters_as_asked() {
    let server = Server::builder().start().await.unwrap();
    let (bus, folder) = (connect(&server).await, tempfile::tempdir().unwrap());
    let runs = Runs::open(&format!("sqlite://{}/runs.db", folder.path().display())).await.unwrap();
    let plane = Plane::main();
    let projector = project(&bus, &runs);
    projector.accept(&plane, Summary::of(&state("root", None, json!({}))));
    assert!(projector.settle(WITHIN).await);
    assert_eq!(ids(&runs, Filter::default()).await, ["root"], "an accepted run is listed before its first step");
    let root = store(&bus, None, state("root", None, json!({}))).await;
    let child = store(&bus, None, state("s-child", Some("root"), json!({}))).await;
    store(&bus, None, state("grandchild", Some("s-child"), json!({}))).await;
    store(&bus, None, state("draft", None, json!({"_run_lifecycle": {"purpose": "draft_test"}}))).await;
    store(&bus, None, state("__internal", None, json!({}))).await;
    let mut ended = root.state.clone();
    (ended.status, ended.error) = (RunStatus::Failed, Some("a\0b".to_owned()));
    store(&bus, Some(&root), ended).await;
    assert!(projector.reach_end(WITHIN).await.unwrap());
    // The same news again, and older news, change nothing.
    projector.accept(&plane, Summary::of(&state("root", None, json!({}))));
    assert!(projector.settle(WITHIN).await);
    let row = runs.find(&plane, &RunId::new("root")).await.unwrap().unwrap();
    assert_eq!((row.status.as_str(), row.ledger_len), ("failed", 2));
    assert_eq!(ids(&runs, Filter::default()).await, ["root", "grandchild", "s-child"], "newest change first");
    let drafts = Filter { drafts_only: true, ..Filter::default() };
    assert_eq!(ids(&runs, drafts).await, ["draft"]);
    assert_eq!(ids(&runs, Filter { include_drafts: true, ..Filter::default() }).await.len(), 4);
    assert_eq!(ids(&runs, Filter { root_only: true, ..Filter::default() }).await, ["root"]);
    let one = |text: &str| Some(text.to_owned());
    assert_eq!(ids(&runs, Filter { status: one("failed"), ..Filter::default() }).await, ["root"]);
    assert_eq!(ids(&runs, Filter { parent_run_id: one("root"), ..Filter::default() }).await, ["s-child"]);
    let internal = Filter { workflow_id: one("__schedule:x"), ..Filter::default() };
    assert_eq!(ids(&runs, internal).await, ["__internal"]);
    let below = runs.descendants(&plane, &RunId::new("root"), 10).await.unwrap();
    let below: Vec<_> = below.into_iter().map(|row| row.run_id).collect();
    assert_eq!(below, [child.state.run_id.as_str(), "grandchild"]);
    assert_eq!(runs.count().await.unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_run_stays_away_from_a_process_that_is_behind_and_may_be_started_again() {
    let server = Server::builder().start().await.unwrap();
    let (bus, folder) = (connect(&server).await, tempfile::tempdir().unwrap());
    let runs = Runs::open(&format!("sqlite://{}/runs.db", folder.path().display())).await.unwrap();
    let (plane, ledger, run) = (Plane::main(), Ledger::new(&bus, &Plane::main()), RunId::new("draft"));
    store(&bus, None, state("draft", None, json!({}))).await;
    let ahead = project(&bus, &runs);
    assert!(ahead.reach_end(WITHIN).await.unwrap());
    let end = ledger.purge(&run).await.unwrap();
    runs.remove(&plane, &run, end, Time::from(jiff::Timestamp::now())).await.unwrap();
    assert_eq!(runs.count().await.unwrap(), 0);
    // What a process would do that read the start, or the step, before all of this and comes to write it only now.
    ahead.accept(&plane, Summary::of(&state("draft", None, json!({}))));
    assert!(ahead.settle(WITHIN).await);
    assert!(runs.find(&plane, &run).await.unwrap().is_none());
    assert_eq!(ids(&runs, Filter::default()).await, Vec::<String>::new());
    store(&bus, None, state("draft", None, json!({}))).await;
    assert!(ahead.reach_end(WITHIN).await.unwrap());
    assert_eq!(ids(&runs, Filter::default()).await, ["draft"], "the same id begins a new run");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_share_a_database_and_one_that_begins_again_lose_no_run() {
    let server = Server::builder().start().await.unwrap();
    let (bus, folder) = (connect(&server).await, tempfile::tempdir().unwrap());
    let url = format!("sqlite://{}/runs.db", folder.path().display());
    let runs = Runs::open(&url).await.unwrap();
    let projectors = [project(&bus, &runs), project(&bus, &runs)];
    for n in 0..200 {
        store(&bus, None, state(&format!("r{n}"), None, json!({}))).await;
    }
    for projector in &projectors {
        assert!(projector.reach_end(WITHIN).await.unwrap());
        assert!(projector.settle(WITHIN).await);
    }
    assert_eq!(runs.count().await.unwrap(), 200);
    let other = Runs::open(&url).await.unwrap();
    for n in 200..250 {
        store(&bus, None, state(&format!("r{n}"), None, json!({}))).await;
    }
    assert!(project(&bus, &other).reach_end(WITHIN).await.unwrap());
    assert_eq!(other.count().await.unwrap(), 250);
    runs.clear().await.unwrap();
    let fresh = tempfile::tempdir().unwrap();
    let again = Runs::open(&format!("sqlite://{}/again.db", fresh.path().display())).await.unwrap();
    assert!(project(&bus, &again).reach_end(WITHIN).await.unwrap());
    assert_eq!(again.count().await.unwrap(), 250, "everything is found again from the streams");
}
