//! Callbacks of jobs, and what a notifier that is killed leaves behind.

use crate::receiver::{Answer, Receiver};
use crate::world::{World, bus, dead_letter, notifier, stop};
use domain::Time;
use domain::notices::{Callback, CallbackBody};
use serde_json::value::RawValue;

const ALLOW: (&str, &str) = ("GANTRY_NOTIFY_ALLOW_TARGETS", "127.0.0.1");

fn callback(job: &str, url: &str) -> Callback {
    let body = CallbackBody {
        job_id: job.to_owned(),
        status: "completed".to_owned(),
        result: Some(RawValue::from_string("{\"echo\":{\"x\":1},\"ep\":\"/execute\"}".to_owned()).unwrap()),
        error: None,
        timestamp: Time::from_micros(1_795_217_433_485_608),
    };
    Callback { job: job.to_owned(), url: url.to_owned(), body }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_has_the_contracts_body_and_needs_no_channel() {
    let (world, receiver) = (World::new().await, Receiver::start([Answer::Status(502, vec![])]));
    let tasks = world.notifier(&[ALLOW]);
    world.bus.notices().call_back(callback("j1", &receiver.url)).await.unwrap();
    world.bus.notices().call_back(callback("j1", &receiver.url)).await.unwrap();
    let received = receiver.after(2).await;
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert_eq!(received[0].header("content-type"), "application/json");
    assert_eq!(received[0].header("webhook-signature"), "", "without a secret nothing is signed");
    assert_eq!(
        std::str::from_utf8(&received[1].body).unwrap(),
        "{\"job_id\":\"j1\",\"status\":\"completed\",\"result\":{\"echo\":{\"x\":1},\"ep\":\"/execute\"},\"error\":null,\
         \"timestamp\":\"2026-11-20T23:30:33.485608+00:00\"}"
    );
    stop(tasks).await;
    assert_eq!(receiver.received().len(), 2, "one job has one callback, which was tried twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_to_a_private_address_is_refused_unless_it_is_allowed() {
    let (world, receiver) = (World::new().await, Receiver::start([]));
    let tasks = world.notifier(&[("GANTRY_NOTIFY_ALLOW_TARGETS", "10.0.0.0/8")]);
    world.bus.notices().call_back(callback("j1", &receiver.url)).await.unwrap();
    let letter = dead_letter(&world.bus).await;
    assert!(letter.error.contains("GANTRY_NOTIFY_ALLOW_TARGETS"), "{}", letter.error);
    assert!(receiver.received().is_empty());
    stop(tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notifier_killed_between_sending_and_acknowledging_delivers_again_under_the_same_id() {
    let (world, receiver) = (World::new().await, Receiver::start([Answer::Silence]));
    let url = world.server.url();
    // A runtime of its own that is torn down at once: its connections break and nothing is acknowledged, as in a kill.
    let doomed = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    doomed.spawn(async move {
        let tasks = notifier(bus(&url).await, &[ALLOW]);
        tasks.failed().await;
    });
    world.bus.notices().call_back(callback("j1", &receiver.url)).await.unwrap();
    receiver.after(1).await;
    doomed.shutdown_background();
    let tasks = world.notifier(&[ALLOW]);
    let received = receiver.after(2).await;
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert_eq!(received[0].body, received[1].body);
    stop(tasks).await;
    assert_eq!(receiver.received().len(), 2, "it is acknowledged now");
}
