//! Who is told what: groups, silence, rules.

use crate::receiver::Receiver;
use crate::world::{Ntfy, World, stop};
use domain::Time;
use domain::notices::Notice;

fn now() -> Time {
    jiff::Timestamp::now().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_together_is_told_together() {
    let (world, ntfy) = (World::new().await, Ntfy::start(&[]).await);
    let tasks =
        world.notifier(&[("NTFY_ENABLED", "true"), ("NTFY_URL", &ntfy.url), ("GANTRY_NOTIFY_GROUP_WINDOW", "1s")]);
    let notices = world.bus.notices();
    for n in 0..5 {
        notices.publish(&Notice::job_failed(&format!("job-{n}"), "img", "no", now())).await.unwrap();
    }
    let pushed = ntfy.after(1).await;
    assert_eq!(pushed[0]["title"], "5 × Job failed on img");
    assert_eq!(pushed[0]["message"].as_str().unwrap().lines().count(), 5);
    stop(tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_node_silences_its_failures_until_it_is_heard_again() {
    let (world, ntfy) = (World::new().await, Ntfy::start(&[]).await);
    let tasks = world.notifier(&[("NTFY_ENABLED", "true"), ("NTFY_URL", &ntfy.url)]);
    let notices = world.bus.notices();
    let on = |node: &str, notice: Notice| Notice { node: Some(node.to_owned()), ..notice };
    notices.publish(&Notice::node_lost("gpu-1", now())).await.unwrap();
    notices.publish(&on("gpu-1", Notice::job_failed("silenced", "img", "gone", now()))).await.unwrap();
    notices.publish(&on("gpu-2", Notice::job_failed("elsewhere", "img", "no", now()))).await.unwrap();
    ntfy.after(2).await;
    notices.publish(&Notice::node_seen("gpu-1", now())).await.unwrap();
    notices.publish(&on("gpu-1", Notice::job_failed("heard", "img", "no", now()))).await.unwrap();
    let pushed = ntfy.after(3).await;
    let text: Vec<&str> = pushed.iter().map(|push| push["title"].as_str().unwrap()).collect();
    assert_eq!(text, ["Node gpu-1 is silent", "Job failed on img", "Job failed on img"]);
    assert!(!pushed.iter().any(|push| push["message"].to_string().contains("silenced")), "{pushed:?}");
    stop(tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_choose_channels_and_a_new_notifier_takes_up_what_was_not_told() {
    let (world, ntfy) = (World::new().await, Ntfy::start(&[]).await);
    let receiver = Receiver::start([]);
    let notices = world.bus.notices();
    let old = Notice::job_failed("old", "img", "no", Time::from_micros(now().as_micros() - 3 * 3_600 * 1_000_000));
    notices.publish(&old).await.unwrap();
    notices.publish(&Notice::job_failed("j1", "img", "no", now())).await.unwrap();
    let tasks = world.notifier(&[
        ("NTFY_ENABLED", "true"),
        ("NTFY_URL", &ntfy.url),
        ("GANTRY_NOTIFY_WEBHOOKS", &receiver.url),
        ("GANTRY_NOTIFY_RULES", "job_completed:webhook,job_failed>=4:ntfy"),
        ("GANTRY_NOTIFY_MOST_AGE", "1h"),
    ]);
    notices.publish(&Notice::job_completed("j2", "img", now())).await.unwrap();
    let (received, pushed) = (receiver.after(1).await, ntfy.after(1).await);
    let body: serde_json::Value = serde_json::from_slice(&received[0].body).unwrap();
    assert_eq!((&body["type"], &body["data"]["job"]), (&"job.completed".into(), &"j2".into()));
    assert_eq!(pushed[0]["message"], "Job j1 failed: no", "what happened too long ago is not told");
    assert_eq!((received.len(), pushed.len()), (1, 1));
    stop(tasks).await;
}
