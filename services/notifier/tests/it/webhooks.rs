//! Signed webhooks: what is sent, what is tried again, what is given up, and what is never sent.

use crate::receiver::{Answer, Received, Receiver};
use crate::world::{World, dead_letter, stop};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::Time;
use domain::notices::Notice;
use sha2::{Digest, Sha256};
use testkit::{SOON, until};

const OLD: &str = "whsec_b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xkLW9sZC0=";
const NEW: &str = "whsec_bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldy0=";

fn now() -> Time {
    jiff::Timestamp::now().into()
}

/// HMAC as RFC 2104 writes it down, from SHA-256 alone: nothing that the notifier signs with.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    assert!(key.len() <= 64);
    let pad = |byte: u8| (0..64).map(move |n| key.get(n).copied().unwrap_or(0) ^ byte).collect::<Vec<u8>>();
    let inner = Sha256::digest([pad(0x36), message.to_vec()].concat());
    Sha256::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
}

fn is_signed_with(received: &Received, secret: &str) -> bool {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let (id, timestamp) = (received.header("webhook-id"), received.header("webhook-timestamp"));
    let message = [format!("{id}.{timestamp}.").as_bytes(), &received.body].concat();
    let expected = format!("v1,{}", STANDARD.encode(hmac(&key, &message)));
    received.header("webhook-signature").split(' ').any(|signature| signature == expected)
}

fn failing(status: u16) -> Answer {
    Answer::Status(status, vec![])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_signed_with_each_secret_while_one_rotates() {
    let (world, receiver) = (World::new().await, Receiver::start([]));
    let secrets = format!("{NEW},{OLD}");
    let tasks =
        world.notifier(&[("GANTRY_NOTIFY_WEBHOOKS", &receiver.url), ("GANTRY_NOTIFY_WEBHOOK_SECRETS", &secrets)]);
    world.bus.notices().publish(&Notice::job_failed("j", "größe", "no", now())).await.unwrap();
    let received = &receiver.after(1).await[0];
    assert!(is_signed_with(received, OLD) && is_signed_with(received, NEW));
    assert!(
        !is_signed_with(received, "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItb3Q="),
        "the check accepts any secret"
    );
    let timestamp: i64 = received.header("webhook-timestamp").parse().unwrap();
    assert!((now().as_micros() / 1_000_000 - timestamp).abs() < 60);
    let body: serde_json::Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!((&body["type"], &body["data"]["title"]), (&"job.failed".into(), &"Job failed on größe".into()));
    stop(tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_is_made_again_under_the_same_id() {
    let world = World::new().await;
    let receiver = Receiver::start([failing(503), Answer::Status(429, vec![("retry-after", "1".to_owned())])]);
    let tasks = world.notifier(&[("GANTRY_NOTIFY_WEBHOOKS", &receiver.url), ("GANTRY_NOTIFY_WEBHOOK_SECRETS", NEW)]);
    world.bus.notices().publish(&Notice::job_failed("j", "img", "no", now())).await.unwrap();
    let received = receiver.after(3).await;
    let ids: Vec<&str> = received.iter().map(|one| one.header("webhook-id")).collect();
    assert!(ids.iter().all(|id| *id == ids[0] && !id.is_empty()), "{ids:?}");
    assert!(received.iter().all(|one| is_signed_with(one, NEW)));
    let asked = |n: usize| received[n].header("webhook-timestamp").parse::<i64>().unwrap();
    assert!(asked(2) > asked(1), "the receiver asked for a second of patience");
    stop(tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_delivered_is_a_dead_letter_that_can_be_replayed() {
    let world = World::new().await;
    let receiver = Receiver::start([failing(500), Answer::Silence, failing(500)]);
    let tasks = world.notifier(&[("GANTRY_NOTIFY_WEBHOOKS", &receiver.url), ("GANTRY_NOTIFY_TIMEOUT", "2s")]);
    let notices = world.bus.notices();
    notices.publish(&Notice::job_failed("j", "img", "no", now())).await.unwrap();
    let letter = dead_letter(&world.bus).await;
    assert!(letter.error.contains("500") && letter.error.contains("3 attempts"), "{}", letter.error);
    let received = receiver.received();
    assert_eq!(received.len(), 3, "one silent answer among three attempts");
    let id = &letter.outgoing.id;
    assert_eq!(received[0].header("webhook-id"), id);
    assert!(!notices.replay("unknown").await.unwrap());
    assert!(notices.replay(id).await.unwrap());
    assert_eq!(receiver.after(4).await[3].header("webhook-id"), id, "a replay is the same message");
    assert!(notices.dead_letters(10).await.unwrap().is_empty());
    stop(tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_gone_is_disabled_until_somebody_enables_it() {
    let (world, receiver) = (World::new().await, Receiver::start([failing(410)]));
    let tasks = world.notifier(&[("GANTRY_NOTIFY_WEBHOOKS", &receiver.url)]);
    let notices = world.bus.notices();
    notices.publish(&Notice::job_failed("j1", "img", "no", now())).await.unwrap();
    dead_letter(&world.bus).await;
    notices.publish(&Notice::job_failed("j2", "img", "no", now())).await.unwrap();
    let letters = until("the second dead letter", SOON, async || {
        let letters = notices.dead_letters(10).await.map_err(|error| error.to_string())?;
        if letters.len() == 2 { Ok(letters) } else { Err(format!("{}", letters.len())) }
    })
    .await;
    assert!(letters[1].error.contains("disabled"), "{}", letters[1].error);
    assert_eq!(receiver.received().len(), 1, "a disabled target is not asked");
    let disabled = notices.all_disabled().await.unwrap();
    assert_eq!(disabled.len(), 1);
    assert!(receiver.url.starts_with(&disabled[0].target), "{disabled:?}");
    assert_eq!(disabled[0].channel, letters[1].outgoing.channel);
    assert!(notices.enable(&disabled[0].channel).await.unwrap());
    assert!(!notices.enable(&disabled[0].channel).await.unwrap(), "it is enabled already");
    assert!(notices.replay(&letters[1].outgoing.id).await.unwrap());
    receiver.after(2).await;
    stop(tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_target_is_refused_directly_by_name_and_behind_a_redirect() {
    let target = Receiver::start([]);
    let sneaky = format!("http://127.0.0.2:{}/", target.port);
    let named = format!("http://localhost:{}/", target.port);
    let redirect = |to: &str| Answer::Status(307, vec![("location", to.to_owned())]);
    let to_another = Receiver::start([redirect(&sneaky)]);
    let to_an_address = Receiver::start([redirect(&target.url)]);
    let by_name = format!("http://localhost:{}/", to_an_address.port);
    let rows = [
        ("127.0.0.1", &sneaky, "directly"),
        ("10.0.0.0/8", &named, "by a name that leads there"),
        ("127.0.0.1", &to_another.url, "behind a redirect"),
        ("localhost", &by_name, "behind a redirect from what is allowed by name"),
    ];
    for (allowed, url, how) in rows {
        let world = World::new().await;
        let tasks = world.notifier(&[("GANTRY_NOTIFY_WEBHOOKS", url), ("GANTRY_NOTIFY_ALLOW_TARGETS", allowed)]);
        world.bus.notices().publish(&Notice::job_failed("j", "img", "no", now())).await.unwrap();
        let letter = dead_letter(&world.bus).await;
        assert!(letter.error.contains("private address"), "{how}: {}", letter.error);
        stop(tasks).await;
    }
    assert_eq!((to_another.received().len(), to_an_address.received().len()), (1, 1));
    assert!(target.received().is_empty(), "nothing reached the private target");
    let allowed = Receiver::start([redirect(&target.url)]);
    let world = World::new().await;
    let tasks = world.notifier(&[("GANTRY_NOTIFY_WEBHOOKS", &allowed.url)]);
    world.bus.notices().publish(&Notice::job_failed("j", "img", "no", now())).await.unwrap();
    assert!(!target.after(1).await[0].body.is_empty(), "a permitted redirect is followed with its body");
    stop(tasks).await;
}
