//! The control plane from the command line: what is data, what is a remark, and how it ends.

use crate::control::{until_status, world};
use crate::flows;
use serde_json::{Value, json};
use std::process::Stdio;
use testkit::{Gateway, Ran, SOON, until};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::test]
async fn a_job_is_submitted_waited_for_and_its_end_is_the_exit_code() {
    let (gateway, worker) = world().await;
    std::fs::write(gateway.data_dir().join("p.json"), r#"{"x": 1}"#).unwrap();
    let done = gateway.cli(&["submit", "echo-type", "p.json", "-p", "1", "--wait"]).await;
    assert_eq!(done.json(), json!({"echo": {"x": 1}}));
    let failed = gateway.cli(&["submit", "echo-type", "--payload", r#"{"fail": true}"#, "--max-attempts", "1"]).await;
    let id = failed.good().to_owned();
    assert_eq!(gateway.cli(&["job", "wait", &id]).await.code, 1);
    let held = gateway.cli(&["submit", "echo-type", "--payload", r#"{"hold": true}"#]).await.good().to_owned();
    until_status(&gateway.client, &held, "running").await;
    let late = gateway.cli(&["job", "wait", &held[..8], "--timeout", "10ms"]).await;
    assert_eq!(late.code, 124, "{late:?}");
    assert!(late.remarks.contains("gantry explain"), "{late:?}");
    let refused = gateway.cli(&["cancel", &held]).await;
    assert_eq!(refused.code, 1);
    assert!(refused.remarks.contains("--running"), "{refused:?}");
    gateway.cli(&["cancel", &held, "--running"]).await.good();
    assert_eq!(gateway.cli(&["job", "wait", &held]).await.code, 3);
    worker.go.send_replace(true);
}

#[tokio::test]
async fn why_a_job_waits_is_explained_before_and_after_it_is_submitted() {
    let (gateway, worker) = world().await;
    let held = gateway.cli(&["submit", "echo-type", "--payload", r#"{"hold": true}"#]).await.good().to_owned();
    until_status(&gateway.client, &held, "running").await;
    let dry = gateway.cli(&["submit", "echo-type", "--payload", "[1]", "--dry-run"]).await;
    assert!(dry.good().starts_with("it would wait: "), "{dry:?}");
    let waiting = gateway.cli(&["submit", "echo-type", "--payload", "[1]"]).await.good().to_owned();
    let explained = gateway.cli(&["explain", &waiting]).await;
    assert!(explained.good().contains("the only slot is taken"));
    assert!(explained.data.contains(&format!("\n  held by: {} (P3) on echo for ", &held[..8])), "{explained:?}");
    assert!(!explained.data.contains(['{', '"']), "{explained:?}");
    let listed = gateway.cli(&["jobs", "--status", "running,queued", "--urgent", "--why", "-o", "json"]).await.json();
    let ids: Vec<&str> = listed.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [&held, &waiting], "the running one comes first");
    assert!(listed[1]["waiting"]["text"].is_string() && listed[0].get("waiting").is_none(), "{listed}");
    let top = gateway.cli(&["top"]).await;
    let picture = top.good();
    assert!(picture.starts_with("gantry top  1 running  1 queued"), "{picture}");
    assert!(picture.contains(&format!("{} running", &held[..8])), "{picture}");
    assert!(picture.contains(&format!("{} queued", &waiting[..8])), "{picture}");
    let whole = gateway.cli(&["top", "-o", "json"]).await.json();
    assert_eq!(whole["jobs"].as_array().map(Vec::len), Some(2));
    assert_eq!(whole["services"][0]["state"], "busy");
    worker.go.send_replace(true);
}

#[tokio::test]
async fn the_names_of_other_command_lines_do_the_same_and_end_honestly() {
    let (gateway, _worker) = world().await;
    let added = gateway.cli(&["register", "img", "img-1", "9000", "image", "--vram", "4", "--health", "/ok"]).await;
    assert!(added.remarks.starts_with("Registering img...\n"), "{added:?}");
    assert_eq!(added.code, 0);
    let status = gateway.cli(&["status"]).await;
    assert!(status.good().starts_with("=== GPU Status ===\n{\n  \"available\": "), "{status:?}");
    assert!(status.data.contains("\n\n=== Services ===\necho: 🟢 running (healthy) [echo-type] 0.0GB VRAM\n"));
    assert!(status.data.contains("img: 🔴 stopped [image] 4.0GB VRAM"), "{status:?}");
    gateway.cli(&["disable", "img"]).await.good();
    assert!(gateway.cli(&["status"]).await.data.contains("img: ⚫ disabled"));
    gateway.cli(&["enable", "img"]).await.good();
    assert_eq!(gateway.cli(&["service", "img", "-o", "json"]).await.json()["record"]["health_endpoint"], "/ok");
    assert_eq!(gateway.cli(&["queue"]).await.good(), "0 queued, 0 running");
    assert_eq!(gateway.cli(&["queue", "list"]).await.code, 0);
    assert_eq!(gateway.cli(&["preempt", "check", "img"]).await.good(), "img is not busy");
    assert_eq!(gateway.cli(&["release", "img"]).await.good(), "0 jobs are queued again");
    gateway.cli(&["unregister", "img"]).await.good();
    for (arguments, code) in [
        (&["service", "img"][..], 1),
        (&["start", "img"], 1),
        (&["progress", "00000000-0000-4000-8000-000000000000"], 1),
        (&["service", "strat", "img"], 2),
        (&["job", "watsh", "x"], 2),
        (&["submit", "echo-type", "missing.json"], 2),
        (&["register", "img"], 2),
    ] {
        let ran = gateway.cli(arguments).await;
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        assert!(ran.data.is_empty() && ran.remarks.contains("error: "), "{ran:?}");
    }
}

#[tokio::test]
async fn a_list_that_is_watched_tells_each_change_as_it_happens() {
    let (gateway, worker) = world().await;
    let mut watch = gateway.command(&["jobs", "--watch", "-o", "ndjson"]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let held = gateway.cli(&["submit", "echo-type", "--payload", r#"{"hold": true}"#]).await.good().to_owned();
    let mut seen = Vec::new();
    let mut next = async |status: &str| {
        until(&format!("the watched list to tell of {status}"), SOON, async || {
            let line = lines.next_line().await.map_err(|error| error.to_string())?.ok_or("it ended")?;
            let job: Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
            seen.push(job["status"].as_str().unwrap_or_default().to_owned());
            if job["id"] == *held && job["status"] == status { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    };
    next("running").await;
    worker.go.send_replace(true);
    next("completed").await;
}

/// What the doctor finds, with further variables. The broker of the test is not the doctor's to start.
async fn doctor(gateway: &Gateway, more: &[(&str, &str)]) -> Ran {
    let mut command = gateway.command(&["doctor", "-o", "json"]);
    let command = command.env("GANTRY_NATS_URL", "nats://127.0.0.1:4222").envs(more.iter().copied());
    let output = command.output().await.unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        data: String::from_utf8(output.stdout).unwrap(),
        remarks: String::from_utf8(output.stderr).unwrap(),
    }
}

fn finding(ran: &Ran, part: &str) -> Value {
    let all: Value = serde_json::from_str(&ran.data).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    all.as_array().unwrap().iter().find(|one| one["part"] == part).cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_warns_of_model_servers_that_do_not_answer_and_names_the_next_step() {
    let gateway = flows::gateway().start().await;
    let ran = doctor(&gateway, &[]).await;
    let none = finding(&ran, "models");
    assert!(none["level"] == "ok" && none["found"].as_str().unwrap().contains("gantry backend create"), "{ran:?}");
    assert_eq!((ran.code, finding(&ran, "proxy file")), (0, Value::Null), "{ran:?}");
    let gone = json!({"kind": "openai", "base_url": "http://127.0.0.1:9/v1"});
    gateway.client.put("/backends/gone", &gone).await.good();
    let ran = until("the doctor to warn", SOON, async || {
        let ran = doctor(&gateway, &[]).await;
        if finding(&ran, "models")["level"] == "warn" { Ok(ran) } else { Err(format!("{ran:?}")) }
    })
    .await;
    let found = finding(&ran, "models");
    assert!(found["found"].as_str().unwrap().starts_with("gone is unwell: "), "{found}");
    assert_eq!(found["fix"], "see `gantry backend show gone`");
    assert_eq!((ran.code, &found["ok"]), (0, &json!(true)), "a warning is no failure: {ran:?}");
    let stranger = doctor(&gateway, &[("GATEWAY_API_TOKEN", "another-token-of-some-length")]).await;
    assert_eq!((stranger.code, finding(&stranger, "models")), (1, Value::Null), "{stranger:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_names_a_proxys_file_that_cannot_be_used_and_why() {
    let gateway = flows::gateway().start().await;
    let file = gateway.data_dir().join("proxy.toml");
    let path = file.to_str().unwrap();
    let found = async |text: Option<&str>| {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let ran = doctor(&gateway, &[("GANTRY_PROXY_FILE", path)]).await;
        (ran.code, finding(&ran, "proxy file"))
    };
    let backend = |kind: &str| format!("[[backend]]\nname = \"a\"\nkind = \"{kind}\"\nbase_url = \"http://a/v1\"\n");
    for (text, word) in [
        (None, "No such file"),
        (Some("[[backnd]]".to_owned()), "backnd"),
        (Some(backend("vlm")), "backend 'a'"),
        (Some(backend("vllm") + "[[model]]\nname = \"m\"\nreplicas = [{ backend = \"b\" }]"), "no backend 'b'"),
    ] {
        let (code, finding) = found(text.as_deref()).await;
        let told = finding["found"].as_str().unwrap_or_default();
        assert!(code == 1 && finding["level"] == "fail", "{word}: {finding}");
        assert!(told.contains(path) && told.contains(word), "{word}: {finding}");
    }
    let (code, finding) = found(Some(&backend("vllm"))).await;
    assert_eq!((code, &finding["level"]), (0, &json!("ok")), "{finding}");
}
