//! A real model server in a container, which jobs start, give way on, and which stops when nobody needs it.

use crate::gpu::world::World;
use serde_json::{Value, json};

/// Work of some seconds: a generation that does not end by itself.
const LONG: u32 = 12_000;

fn asks(tokens: u32, more: Value) -> Value {
    let said = json!([{"role": "user", "content": "Hello"}]);
    let payload = json!({"model": "tiny", "messages": said, "max_tokens": tokens, "ignore_eos": true});
    let mut job = json!({"service_type": "llm", "payload": payload});
    job.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    job
}

/// How many tokens the model generated for a job, by its own account.
fn generated(job: &Value) -> u64 {
    let answer: Value = serde_json::from_str(job["result"].as_str().unwrap()).unwrap();
    assert_eq!((&answer["object"], &answer["model"]), (&json!("chat.completion"), &json!("tiny")), "{answer}");
    assert!(answer["choices"][0]["message"]["content"].is_string(), "{answer}");
    answer["usage"]["completion_tokens"].as_u64().unwrap()
}

#[tokio::test]
async fn a_job_starts_a_model_server_which_answers_and_stops_when_it_is_idle() {
    let mut world = World::start().await;
    let name = world.llama(json!({"idle_timeout_ms": 500})).await;
    assert!(!world.is_running(&name).await, "nobody has asked for it");
    for turn in 1..=2 {
        let job = world.client().submit(&asks(8, json!({}))).await;
        let done = world.client().until_job_is(&job, "completed").await;
        assert_eq!((&done["service_name"], &done["attempts"]), (&json!(name), &json!(1)), "turn {turn}: {done}");
        assert_eq!(generated(&done), 8, "turn {turn}");
        world.client().until_service(&name, "stopped", |service| service["container_running"] == false).await;
        assert!(!world.is_running(&name).await, "turn {turn}: the engine still runs it");
    }
}

#[tokio::test]
async fn a_generation_gives_way_to_an_urgent_one_and_is_done_afterwards() {
    let mut world = World::start().await;
    let name = world.llama(json!({"stops_on_disconnect": true})).await;
    let client = world.client();
    let long = client.submit(&asks(LONG, json!({"priority": 5}))).await;
    client.until_job_is(&long, "running").await;
    let urgent = client.submit(&asks(4, json!({"priority": 0}))).await;
    let first = client.until_job_is(&urgent, "completed").await;
    assert_eq!(generated(&first), 4);
    let waiting = client.job(&long).await;
    assert_ne!(waiting["status"], "completed", "the urgent one waited for its end: {waiting}");
    assert_eq!((&waiting["preempt_count"], &waiting["error"]), (&json!(1), &Value::Null), "{waiting}");
    let last = client.until_job_is(&long, "completed").await;
    assert_eq!((generated(&last), &last["attempts"]), (u64::from(LONG), &json!(2)), "{last}");
    assert!(world.is_running(&name).await, "a server that lets go is not stopped for it");
}

#[tokio::test]
async fn a_generation_ends_before_its_server_is_stopped_and_nothing_starts_it_again() {
    let mut world = World::start().await;
    let name = world.llama(json!({})).await;
    let client = world.client();
    let started = client.post(&format!("//services/{name}/start"), &json!({})).await.good();
    assert_eq!((&started["status"], &started["healthy"]), (&json!("started"), &json!(true)), "{started}");
    let job = client.submit(&asks(LONG / 4, json!({}))).await;
    client.until_job_is(&job, "running").await;
    let stopped = client.post(&format!("//services/{name}/stop?drain=true"), &json!({})).await.good();
    assert_eq!(stopped, json!({"service": name, "status": "stopped", "drained": true}));
    let done = client.job(&job).await;
    assert_eq!((&done["status"], &done["attempts"]), (&json!("completed"), &json!(1)), "{done}");
    assert_eq!(generated(&done), u64::from(LONG / 4));
    assert!(!world.is_running(&name).await);
}
