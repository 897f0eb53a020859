//! What runs do when nothing goes wrong.

use crate::bench::Bench;
use domain::{CommandKind, RunStatus};
use ledger::Ledger;
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_run_is_stored_in_one_step() {
    let bench = Bench::start().await;
    let run = bench.begin("01-echo-answer-user", "echo", json!({"prompt": "hi"})).await;
    let head = bench.ended(&run).await;
    assert_eq!(head.state.status, RunStatus::Completed, "{:?}", head.state.error);
    assert_eq!(head.before, 0, "everything was in the first message");
    let page = Ledger::new(&bench.bus, &bench.plane).records(&run, 0, 100).await.unwrap().unwrap();
    assert_eq!(page.items.iter().map(|item| item.cursor).collect::<Vec<_>>(), (1..=page.total).collect::<Vec<_>>());
    bench.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_wakes_its_parent_and_a_person_is_answered_once() {
    let bench = Bench::start().await;
    let parent = bench.begin("11-subflow", "parent", json!({"n": 21})).await;
    let head = bench.ended(&parent).await;
    assert_eq!(head.state.output.as_ref().expect("it completed")["value"], json!(42.0));

    let asked = bench.begin("13-ask-user", "asked", json!({})).await;
    bench.until(&asked, "waiting", |head| head.state.status == RunStatus::Waiting).await;
    let wrong =
        bench.command(&asked, "c1", CommandKind::Resume, json!({"wait_key": "no", "payload": {"response": "x"}}));
    wrong.await;
    bench.command(&asked, "c2", CommandKind::Resume, json!({"payload": {"response": "me"}})).await;
    assert_eq!(bench.command(&asked, "c2", CommandKind::Cancel, json!({})).await, 2, "a repeated id is the first one");
    let head = bench.ended(&asked).await;
    assert_eq!(head.state.status, RunStatus::Completed);
    let outcome = bench.bus.outcomes(&bench.plane).find(&"c1".into()).await.unwrap().expect("it was settled");
    assert!(matches!(outcome.verdict, domain::Verdict::Refused { .. }), "{outcome:?}");
    bench.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_wakes_a_run_and_a_cancel_reaches_the_whole_tree() {
    let bench = Bench::start().await;
    let delayed = bench.begin("17-delay", "delayed", json!({})).await;
    assert_eq!(bench.ended(&delayed).await.state.status, RunStatus::Completed);
    let tree = bench.begin("67-cancel-tree", "tree", json!({})).await;
    let head = bench.until(&tree, "waiting", |head| head.state.status == RunStatus::Waiting).await;
    let child = head.state.children.first().expect("it has a child").run_id.clone();
    bench.until(&child, "waiting", |head| head.state.status == RunStatus::Waiting).await;
    bench.command(&tree, "cancel", CommandKind::Cancel, json!({})).await;
    assert_eq!(bench.ended(&tree).await.state.status, RunStatus::Cancelled);
    assert_eq!(bench.ended(&child).await.state.status, RunStatus::Cancelled);
    bench.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_has_taken_in_does_not_stay_in_its_inbox() {
    let bench = Bench::start().await;
    let run = bench.begin("01-echo-answer-user", "swept", json!({"prompt": "hi"})).await;
    bench.ended(&run).await;
    let inbox = bench.bus.inbox(&bench.plane);
    let swept = async {
        while !inbox.pending(&run, 0).await.unwrap().0.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), swept).await.expect("the start leaves the inbox");
    bench.tasks.stop(Duration::from_secs(5)).await;
}
