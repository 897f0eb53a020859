//! Laws of the client.

mod world;

use super::*;
use serde_json::json;
use std::collections::HashMap;
use world::{Answer, CHILD, DONE, RUN, Script, TOKEN, World, a_run, ended, gantry_at, record, steps, three_records};

#[tokio::test]
async fn start_prints_nothing_but_the_id_as_data() {
    let world = World::new(Script::default()).await;
    let answer =
        world.gantry("run start hello@1.0.0:greet -i name=Ada -i n:=3 --session s-1 --idempotency-key k").await;
    assert_eq!((answer.exit, answer.data.as_str()), (Exit::Ok, format!("{RUN}\n").as_str()), "{}", answer.remarks);
    assert_eq!(
        world.body(),
        json!({"bundle_id": "hello@1.0.0", "input_data": {"name": "Ada", "n": 3}, "flow_id": "greet", "session_id": "s-1"})
    );
    assert_eq!(world.asked(), ["key k"]);
}

#[tokio::test]
async fn an_error_says_what_failed_why_and_what_to_do_next() {
    let world = World::new(Script::default()).await;
    let answer = world.gantry("run start nope").await;
    assert_eq!(answer.exit.code(), 1);
    assert_eq!(answer.data, "");
    assert_eq!(
        answer.remarks,
        "error: cannot start 'nope': Bundle 'nope' not found (HTTP 404)\n  next: gantry bundle list\n"
    );
}

#[tokio::test]
async fn a_gateway_that_does_not_answer_is_named_with_how_to_start_one() {
    let answer = gantry_at("http://127.0.0.1:1", "run list", &[]).await;
    assert_eq!(answer.exit, Exit::Failed);
    assert!(answer.remarks.contains("http://127.0.0.1:1/ does not answer"), "{}", answer.remarks);
    assert!(answer.remarks.contains("gantry up"), "{}", answer.remarks);
}

#[tokio::test]
async fn wait_ends_with_the_code_of_the_run_and_prints_its_output() {
    for (status, code) in [("completed", 0), ("failed", 1), ("cancelled", 3)] {
        let world = World::new(ended(status)).await;
        let answer = world.gantry(&format!("run wait {RUN}")).await;
        assert_eq!(answer.exit.code(), code, "{status}");
        assert_eq!(answer.data, "{\n  \"response\": \"hello\"\n}\n");
    }
}

#[tokio::test]
async fn wait_ends_with_124_when_its_time_is_up() {
    let script = Script { run: a_run("waiting"), streams: [None].into(), ..Script::default() };
    let world = World::new(script).await;
    let answer = world.gantry(&format!("run wait {RUN} --timeout 50ms")).await;
    assert_eq!(answer.exit.code(), 124);
    assert!(answer.remarks.contains("it has not ended after 50ms"), "{}", answer.remarks);
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2() {
    for wrong in ["run", "run wait", "run resume x --payload 3", "run wait x --timeout soon", "fly"] {
        let words = std::iter::once("gantry").chain(wrong.split(' '));
        assert_eq!(Cli::try_parse_from(words).unwrap_err().exit_code(), 2, "{wrong}");
    }
}

#[tokio::test]
async fn a_dropped_connection_loses_no_record_and_doubles_none() {
    let records = three_records();
    // The second connection repeats a record and is cut in the middle of the next one.
    let again = steps(&records[..1], 1) + &steps(&records[1..2], 2);
    let cut = steps(&records[2..], 3);
    let bodies = [steps(&records[..1], 1), again + &cut[..cut.len() / 2], cut + DONE];
    let script = Script { run: a_run("completed"), streams: bodies.map(Some).into(), ..Script::default() };
    let world = World::new(script).await;
    let answer = world.gantry(&format!("run watch {RUN} -o ndjson")).await;
    let cursors: Vec<u64> = answer
        .data
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["cursor"].as_u64().unwrap())
        .collect();
    assert_eq!(cursors, [1, 2, 3]);
    assert_eq!(world.asked(), ["538d after 0", "538d after 1", "538d after 2"]);
    assert!(answer.remarks.contains("lost"), "{}", answer.remarks);
}

#[tokio::test]
async fn watch_shows_a_step_as_one_line_and_ends_with_the_run() {
    let world = World::new(ended("completed")).await;
    let answer = world.gantry(&format!("run watch {RUN}")).await;
    assert_eq!(
        answer.data.lines().collect::<Vec<_>>(),
        [
            &format!("run {RUN}  hello@1.0.0:greet"),
            "   0.100s ✔ node               answer_user hello",
            "   0.100s ✔ node               output {\"response\":\"hello\"}",
        ]
    );
    assert_eq!(answer.remarks, "run 538d88fa completed after 1.50s\n");
    assert!(!answer.data.contains('\u{1b}'), "no colours where nobody sees them");
}

#[tokio::test]
async fn watch_shows_what_a_child_run_asks() {
    let wait = |reason: &str, details: Value| json!({"wait": {"reason": reason, "prompt": "who?", "details": details}});
    let effect = json!({"type": "start_subworkflow", "payload": {}});
    let waits = record("s1", "waiting", effect, wait("subworkflow", json!({"sub_run_id": CHILD})));
    let asks = record("c1", "waiting", json!({"type": "ask_user", "payload": {}}), wait("user", Value::Null));
    let script = Script {
        run: a_run("completed"),
        streams: [Some(steps(&[waits], 1) + DONE)].into(),
        child_streams: [Some(steps(&[asks], 1) + DONE)].into(),
        ..Script::default()
    };
    let world = World::new(script).await;
    let answer = world.gantry(&format!("run watch {RUN}")).await;
    assert!(answer.data.contains("8c0347f8 … node"), "{}", answer.data);
    assert!(answer.data.contains("┃ answer:  gantry run answer 8c0347f8 'your answer'"), "{}", answer.data);
}

#[tokio::test]
async fn a_refused_command_is_an_error_with_the_reason() {
    let outcomes = [json!({"status": "accepted"}), json!({"status": "refused", "reason": "the run has ended"})];
    let world = World::new(Script { outcomes: outcomes.into(), ..Script::default() }).await;
    let answer = world.gantry(&format!("run cancel {RUN} --reason enough")).await;
    assert_eq!(answer.exit, Exit::Failed);
    assert!(answer.remarks.contains("cannot cancel run 538d88fa: the run has ended"), "{}", answer.remarks);
    assert_eq!((&world.body()["type"], &world.body()["payload"]), (&json!("cancel"), &json!({"reason": "enough"})));
    assert_eq!(world.asked(), ["outcome", "outcome"]);
}

#[tokio::test]
async fn an_applied_command_says_at_which_record() {
    let outcomes = [json!({"status": "applied", "cursor": 4, "run_id": RUN})];
    let world = World::new(Script { outcomes: outcomes.into(), ..Script::default() }).await;
    let answer = world.gantry(&format!("run resume {RUN} --answer yes")).await;
    assert_eq!((answer.exit, answer.data.as_str()), (Exit::Ok, "resume applied to run 538d88fa at record 4\n"));
    assert_eq!(world.body()["payload"], json!({"payload": {"response": "yes"}}));
}

#[tokio::test]
async fn an_answer_goes_to_the_run_that_asks() {
    let mut above = a_run("waiting");
    above["waiting"] = json!({"reason": "subworkflow", "details": {"sub_run_id": CHILD}});
    let mut below = a_run("waiting");
    below["waiting"] = json!({"reason": "user", "wait_key": "user:x:ask", "allow_free_text": true});
    let outcomes = [json!({"status": "applied", "cursor": 2})];
    let script = Script { run: above, child: below, outcomes: outcomes.into(), ..Script::default() };
    let world = World::new(script).await;
    let answer = world.gantry(&format!("run answer {RUN} I am X")).await;
    assert_eq!(answer.exit, Exit::Ok, "{}", answer.remarks);
    assert_eq!(world.body()["run_id"], CHILD);
    assert_eq!(world.body()["payload"], json!({"payload": {"response": "I am X"}, "wait_key": "user:x:ask"}));
}

#[tokio::test]
async fn the_beginning_of_an_id_is_enough_if_only_one_begins_so() {
    let runs = vec![json!({"run_id": RUN}), json!({"run_id": CHILD}), json!({"run_id": "8caaaaaa"})];
    let world = World::new(Script { run: a_run("completed"), runs, ..Script::default() }).await;
    assert_eq!(world.gantry("run show 538d -o name").await.data, format!("{RUN}\n"));
    let answer = world.gantry("run show 8c").await;
    assert_eq!(answer.exit, Exit::Usage);
    assert!(answer.remarks.contains("2 begin with it"), "{}", answer.remarks);
    assert!(world.gantry("run show ffff").await.remarks.contains("gantry run list"));
}

#[tokio::test]
async fn the_same_answer_comes_in_every_form() {
    let world = World::new(Script { runs: vec![a_run("completed")], ..Script::default() }).await;
    let table = world.gantry("run list").await.data;
    assert!(table.starts_with("RUN        STATUS      WORKFLOW"), "{table}");
    assert!(table.contains("\n538d88fa   completed   hello@1.0.0:greet"), "{table}");
    assert_eq!(world.gantry("run list -o name").await.data, format!("{RUN}\n"));
    let json: Value = serde_json::from_str(&world.gantry("run list -o json").await.data).unwrap();
    assert_eq!(json, json!([a_run("completed")]));
    let line: Value = serde_json::from_str(&world.gantry("run list -o ndjson").await.data).unwrap();
    assert_eq!(line, a_run("completed"));
    assert!(world.gantry("run list -o yaml").await.data.contains(&format!("  run_id: \"{RUN}\"")));
}

#[tokio::test]
async fn the_ledger_is_read_page_by_page_and_numbered() {
    let world = World::new(Script { ledger: three_records(), ..Script::default() }).await;
    let json: Value =
        serde_json::from_str(&world.gantry(&format!("run ledger {RUN} --after 1 -o json")).await.data).unwrap();
    assert_eq!((&json[0]["cursor"], &json[1]["cursor"], json.as_array().unwrap().len()), (&json!(2), &json!(3), 2));
    assert_eq!(json[1]["record"], three_records()[2]);
}

#[tokio::test]
async fn doctor_finds_the_gateway_the_token_and_the_clock() {
    let world = World::new(Script::default()).await;
    let checks = |answer: &Answer| -> HashMap<String, bool> {
        let found: Vec<Value> = serde_json::from_str(&answer.data).unwrap();
        found.iter().map(|item| (item["part"].as_str().unwrap().to_owned(), item["ok"] == true)).collect()
    };
    let dir = tempfile::tempdir().unwrap();
    let pairs = [("GANTRY_DATA_DIR", dir.path().to_str().unwrap()), ("GANTRY_TOKEN", TOKEN)];
    let found = checks(&gantry_at(&world.url, "doctor -o json", &pairs).await);
    for part in ["settings", "data dir", "gateway", "token", "clock"] {
        assert_eq!(found.get(part), Some(&true), "{part}: {found:?}");
    }
    let answer = gantry_at(&world.url, "doctor -o json", &[("GANTRY_TOKEN", "wrong"), ("GANTRY_PROT", "1")]).await;
    assert_eq!(answer.exit, Exit::Failed);
    assert!(!checks(&answer)["token"] && !checks(&answer)["settings"]);
    let answer = gantry_at(&world.url, "doctor", &[("GANTRY_TOKEN", "wrong")]).await;
    assert!(answer.data.contains("fail  token") && answer.data.contains("fix:        pass --token"), "{}", answer.data);
}

#[tokio::test]
async fn config_show_names_the_source_of_each_value_and_hides_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let pairs = [("GANTRY_DATA_DIR", dir.path().to_str().unwrap()), ("GANTRY_TOKEN", TOKEN), ("LOG_LEVEL", "warn")];
    let answer = gantry_at("http://127.0.0.1:1", "config show -o json", &pairs).await;
    assert!(!answer.data.contains(TOKEN));
    let entries: Vec<Value> = serde_json::from_str(&answer.data).unwrap();
    let entry = |name: &str| entries.iter().find(|entry| entry["name"] == name).unwrap();
    assert_eq!((&entry("GANTRY_LOG")["value"], &entry("GANTRY_LOG")["source"]), (&json!("warn"), &json!("LOG_LEVEL")));
    assert_eq!(entry("GANTRY_TOKEN")["value"], "[redacted]");
    assert_eq!(entry("GANTRY_LOG_FORMAT")["source"], "default");
    let answer = gantry_at("http://127.0.0.1:1", "config show", &[("GANTRY_LGO", "x")]).await;
    assert_eq!(answer.exit, Exit::Usage);
    assert!(answer.remarks.contains("did you mean GANTRY_LOG?"), "{}", answer.remarks);
}

#[tokio::test]
async fn a_context_is_kept_for_its_owner_only_and_used() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new(Script::default()).await;
    let home = tempfile::tempdir().unwrap();
    let pairs = [("XDG_CONFIG_HOME", home.path().to_str().unwrap())];
    let add = format!("context add lab --url {} --token {TOKEN}", world.url);
    assert_eq!(gantry_at("", &add, &pairs).await.exit, Exit::Ok);
    let mode = std::fs::metadata(home.path().join("gantry/contexts.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let answer = gantry_at("", "context ls", &pairs).await;
    assert!(answer.data.contains("*         lab") && !answer.data.contains(TOKEN), "{}", answer.data);
    assert_eq!(gantry_at("", "bundle list", &pairs).await.exit, Exit::Ok);
    assert_eq!(gantry_at("", "context use nowhere", &pairs).await.exit, Exit::Usage);
}

#[tokio::test]
async fn completions_and_manual_pages_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = gantry_at("", &format!("completions {shell}"), &[]).await.data;
        assert!(script.contains("ledger") && script.contains("idempotency-key"), "{shell}");
    }
    let dir = tempfile::tempdir().unwrap();
    gantry_at("", &format!("man --into {}", dir.path().display()), &[]).await;
    assert!(dir.path().join("gantry-run-watch.1").exists());
}

#[tokio::test]
async fn wait_passes_an_open_question_on_and_keeps_an_answered_one_to_itself() {
    let wait = json!({"wait": {"reason": "user", "prompt": "who?"}});
    let asks = record("s1", "waiting", json!({"type": "ask_user", "payload": {}}), wait);
    let answered = steps(std::slice::from_ref(&asks), 1) + &steps(&three_records(), 2) + DONE;
    let script = Script { run: a_run("completed"), streams: [Some(answered)].into(), ..Script::default() };
    let answer = World::new(script).await.gantry(&format!("run wait {RUN}")).await;
    assert_eq!((answer.exit, answer.remarks.as_str()), (Exit::Ok, ""));

    // The stream that never ends follows the one that was lost behind the question.
    let streams = [Some(steps(&[asks], 1)), None].into();
    let script = Script { run: a_run("waiting"), streams, ..Script::default() };
    let answer = World::new(script).await.gantry(&format!("run wait {RUN} --timeout 2s")).await;
    assert_eq!(answer.exit, Exit::TimedOut);
    assert!(answer.remarks.contains("┃ answer:  gantry run answer 538d88fa"), "{}", answer.remarks);
}
