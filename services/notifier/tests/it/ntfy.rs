//! Pushes through a real ntfy server.

use crate::world::{Ntfy, World, client, dead_letter, program, stop};
use domain::Time;
use domain::notices::{Notice, NoticeAction};
use serde_json::json;
use testkit::{SOON, until};

fn now() -> Time {
    jiff::Timestamp::now().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_arrives_whole_and_once_however_often_it_is_published() {
    let (world, ntfy) = (World::new().await, Ntfy::start(&[]).await);
    let tasks = world.notifier(&[("NTFY_ENABLED", "true"), ("NTFY_URL", &ntfy.url)]);
    let notices = world.bus.notices();
    let mut notice = Notice::job_failed("a6dcb332-1", "bild-größe", "Speicher voll — 画像", now());
    notice.click = Some("https://gantry.example.org/jobs/1".to_owned());
    notice.actions = (0..5)
        .map(|n| NoticeAction { label: format!("öffnen {n}"), url: format!("https://gantry.example.org/{n}") })
        .collect();
    assert!(notices.publish(&notice).await.unwrap());
    assert!(!notices.publish(&notice).await.unwrap(), "the same notice is not new");
    notices.publish(&Notice::job_completed("other", "img", now())).await.unwrap();
    let pushed = ntfy.after(2).await;
    assert_eq!(pushed.len(), 2, "{pushed:?}");
    let first = &pushed[0];
    assert_eq!(first["title"], "Job failed on bild-größe");
    assert_eq!(first["message"], "Job a6dcb332 failed: Speicher voll — 画像");
    assert_eq!((&first["priority"], &first["tags"]), (&json!(4), &json!(["x"])));
    assert_eq!(first["click"], "https://gantry.example.org/jobs/1");
    assert_eq!(first["actions"].as_array().unwrap().len(), 3, "a push shows three actions at most");
    assert_eq!(first["actions"][0]["label"], "öffnen 0");
    stop(tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_job_has_one_live_card() {
    let (world, ntfy) = (World::new().await, Ntfy::start(&[]).await);
    let tasks = world.notifier(&[("NTFY_ENABLED", "true"), ("NTFY_URL", &ntfy.url), ("GANTRY_NOTIFY_RULES", "*:ntfy")]);
    let notices = world.bus.notices();
    notices.publish(&Notice::job_started("j1", 1, "img", now())).await.unwrap();
    ntfy.after(1).await;
    notices.publish(&Notice::job_completed("j1", "img", now())).await.unwrap();
    ntfy.after(2).await;
    notices.publish(&Notice::job_completed("j2", "img", now())).await.unwrap();
    let pushed = ntfy.after(3).await;
    let card = |n: usize| pushed[n]["sequence_id"].as_str().unwrap();
    assert_eq!(card(0), card(1), "the later push replaces the earlier");
    assert_ne!(card(0), card(2), "another job has another card");
    stop(tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_more_is_waited_for_and_nothing_is_lost() {
    let limits = ["--visitor-request-limit-burst", "4", "--visitor-request-limit-replenish", "500ms"];
    let (world, ntfy) = (World::new().await, Ntfy::start(&limits).await);
    let tasks =
        world.notifier(&[("NTFY_ENABLED", "true"), ("NTFY_URL", &ntfy.url), ("GANTRY_NOTIFY_NTFY_REFILL", "2s")]);
    // One request that stays open: asking again and again would use up what the server takes.
    let mut stream = client().get(format!("{}/gateway/json", ntfy.url)).send().await.unwrap();
    let notices = world.bus.notices();
    for n in 0..9 {
        notices.publish(&Notice::job_failed(&format!("job-no{n}"), "img", "no", now())).await.unwrap();
    }
    let named = |text: &str| (0..9).filter(|n| text.contains(&format!("Job job-no{n} failed"))).count();
    let mut text = String::new();
    while named(&text) < 9 {
        let chunk = tokio::time::timeout(SOON, stream.chunk()).await;
        let chunk = chunk.unwrap_or_else(|_| panic!("not all nine were told: {text}")).unwrap();
        text.push_str(&String::from_utf8_lossy(&chunk.expect("the stream stays open")));
    }
    let pushed: Vec<&str> = text.lines().filter(|line| line.contains("\"event\":\"message\"")).collect();
    assert!(pushed.len() < 9, "what gathered went out together: {pushed:?}");
    assert!(world.bus.notices().dead_letters(10).await.unwrap().is_empty());
    stop(tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_topic_takes_a_token_or_a_password_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users.db").display().to_string();
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(program())
            .args([arguments[0], "--config", "/dev/null", "--auth-file", &users])
            .args(&arguments[1..])
            .env("NTFY_PASSWORD", "a-password-of-the-tests")
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(output.status.success(), "{text}");
        text
    };
    let access = ["--auth-file", &users, "--auth-default-access", "deny-all"];
    let ntfy = Ntfy::start(&access).await;
    run(&["user", "add", "--role=admin", "gantry"]);
    let said = run(&["token", "add", "gantry"]);
    let token = said.split_whitespace().find(|word| word.starts_with("tk_")).unwrap().trim_end_matches(',').to_owned();
    let enabled = [("NTFY_ENABLED", "true"), ("NTFY_URL", &*ntfy.url)];
    let logins: [&[(&str, &str)]; 2] = [
        &[("GANTRY_NOTIFY_NTFY_TOKEN", &token)],
        &[("GANTRY_NOTIFY_NTFY_USER", "gantry"), ("GANTRY_NOTIFY_NTFY_PASSWORD", "a-password-of-the-tests")],
    ];
    for (n, login) in logins.into_iter().enumerate() {
        let world = World::new().await;
        let tasks = world.notifier(&[&enabled[..], login].concat());
        world.bus.notices().publish(&Notice::job_completed(&n.to_string(), "img", now())).await.unwrap();
        until("the push", SOON, async || {
            let pushed = ntfy.pushed(Some(&format!("Bearer {token}"))).await?;
            if pushed.len() > n { Ok(()) } else { Err(format!("{pushed:?}")) }
        })
        .await;
        stop(tasks).await;
    }
    let world = World::new().await;
    let tasks = world.notifier(&enabled);
    world.bus.notices().publish(&Notice::job_completed("x", "img", now())).await.unwrap();
    let letter = dead_letter(&world.bus).await;
    assert!(letter.error.contains("403"), "{}", letter.error);
    stop(tasks).await;
}
