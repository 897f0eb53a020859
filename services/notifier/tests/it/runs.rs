//! Notices of runs, from real ledgers.

use crate::world::{Ntfy, World, stop};
use bus::{Bus, TraceContext};
use domain::{Plane, RunId, RunStatus, SessionId, Source, StartRun, Time, Wait, WaitReason, WorkflowId};
use flow::State;
use ledger::{Append, Appended, Head, Ledger};
use serde_json::value::RawValue;
use serde_json::{Value, json};

fn now() -> Time {
    jiff::Timestamp::now().into()
}

fn run(id: &str) -> State {
    let request = StartRun {
        run_id: RunId::new(id),
        workflow_id: WorkflowId::new("review@1.2.0:approve"),
        source: Source::Inline { document: Box::new(Value::Null) },
        vars: domain::Object::new(),
        session_id: SessionId::new(id),
        actor_id: "gateway".to_owned(),
        parent_run_id: None,
        report_to_parent: false,
        created_at: now(),
        request_digest: None,
    };
    flow::start(&request, "begin")
}

fn asking(mut state: State, question: u64, prompt: &str) -> State {
    state.status = RunStatus::Waiting;
    state.node_seq = question;
    state.updated_at = now();
    let mut wait = Wait::new(WaitReason::User);
    wait.prompt = Some(prompt.to_owned());
    wait.choices = Some(vec![json!("yes"), json!({"label": "not yet"})]);
    state.waiting = Some(wait);
    state
}

fn failed(mut state: State, error: &str) -> State {
    state.status = RunStatus::Failed;
    state.updated_at = now();
    state.error = Some(error.to_owned());
    state
}

async fn store(bus: &Bus, previous: Option<&Head>, state: State) -> Head {
    let records = RawValue::from_string("[]".to_owned()).unwrap();
    let writer = format!("test-{}", now().as_micros());
    let trace = TraceContext::default();
    let append = Append {
        previous,
        state,
        records: &records,
        effects: Vec::new(),
        outcomes: Vec::new(),
        inbox_cursor: 0,
        doorbell: 0,
        delivery: 0,
        writer,
        trace: &trace,
    };
    let Appended::Stored(head) = Ledger::new(bus, &Plane::main()).append(append).await.unwrap() else {
        panic!("nobody else writes here")
    };
    *head
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_for_a_person_or_fails_is_told_once_also_over_a_restart() {
    let (world, ntfy) = (World::new().await, Ntfy::start(&[]).await);
    let settings = [
        ("NTFY_ENABLED", "true"),
        ("NTFY_URL", &*ntfy.url),
        ("GANTRY_NOTIFY_RUN_LINK", "https://gantry.example.org/runs/{run}"),
    ];
    store(&world.bus, None, failed(run("before"), "nobody was told then")).await;
    let tasks = world.notifier(&settings);
    // The place in the ledger is taken from its end when the first notifier starts; only what comes then is told.
    testkit::until("the first place", testkit::SOON, async || {
        world.bus.notices().position(0).await.map_err(|error| error.to_string())?.ok_or_else(|| "none".to_owned())
    })
    .await;
    let head = store(&world.bus, None, asking(run("r1"), 3, "Freigeben? — 承認")).await;
    let pushed = ntfy.after(1).await;
    assert_eq!(pushed[0]["title"], "Waiting for you: review:approve");
    assert_eq!(pushed[0]["message"], "Freigeben? — 承認\n• yes\n• not yet");
    assert_eq!(pushed[0]["click"], "https://gantry.example.org/runs/r1");
    // Another step while it still waits is the same question.
    let head = store(&world.bus, Some(&head), asking(head.state.clone(), 3, "Freigeben? — 承認")).await;
    stop(tasks).await;

    let head = store(&world.bus, Some(&head), asking(head.state.clone(), 5, "And now?")).await;
    let tasks = world.notifier(&settings);
    let pushed = ntfy.after(2).await;
    assert_eq!(pushed[1]["message"], "And now?\n• yes\n• not yet", "the next question is another notice");
    store(&world.bus, Some(&head), failed(head.state.clone(), "the model server is gone")).await;
    let pushed = ntfy.after(3).await;
    assert_eq!(pushed[2]["title"], "Run failed: review:approve");
    assert_eq!(pushed[2]["message"], "the model server is gone");
    assert_eq!(pushed[0]["sequence_id"], pushed[2]["sequence_id"], "one run has one card");
    stop(tasks).await;

    // Looked at from the beginning again, everything was told before. Which of two runs is told first is nobody's
    // promise: what was handed to the notifier that stopped comes again later.
    world.bus.notices().save_position(0, 0).await.unwrap();
    let tasks = world.notifier(&[&settings[..], &[("GANTRY_NOTIFY_MOST_AGE", "1h")]].concat());
    store(&world.bus, None, failed(run("r2"), "last")).await;
    let pushed = ntfy.after(5).await;
    let mut texts: Vec<&str> = pushed.iter().skip(3).map(|push| push["message"].as_str().unwrap()).collect();
    texts.sort_unstable();
    assert_eq!(texts, ["last", "nobody was told then"], "only what was never told is told");
    stop(tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_run_is_told_only_to_those_who_ask_for_it() {
    for (rules, told) in [("*:ntfy", 2), ("run_failed:ntfy", 1)] {
        let (world, ntfy) = (World::new().await, Ntfy::start(&[]).await);
        world.bus.notices().save_position(0, 0).await.unwrap();
        let tasks = world.notifier(&[("NTFY_ENABLED", "1"), ("NTFY_URL", &ntfy.url), ("GANTRY_NOTIFY_RULES", rules)]);
        let mut state = run("r1");
        state.status = RunStatus::Completed;
        store(&world.bus, None, state).await;
        store(&world.bus, None, failed(run("r2"), "last")).await;
        let pushed = ntfy.after(told).await;
        assert_eq!(pushed.len(), told, "{pushed:?}");
        assert_eq!(pushed[told - 1]["message"], "last");
        stop(tasks).await;
    }
}
