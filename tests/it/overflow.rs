//! Model requests that become jobs, over real processes that are killed.

use crate::gpu::world::World;
use serde_json::{Value, json};
use std::time::Instant;
use testkit::{Client, FakeModel, Gateway, SOON, until};

async fn ask(client: &Client, model: &str, headers: &[(&str, &str)]) -> testkit::Answer {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4});
    let mut request = client.request(reqwest::Method::POST, "//v1/chat/completions").json(&body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Client::send(request).await.expect("an answer comes")
}

/// The job that a request has become.
async fn deferred(client: &Client, model: &str, headers: &[(&str, &str)]) -> String {
    let answer = ask(client, model, &[&[("prefer", "respond-async")], headers].concat()).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let location = answer.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(answer.json()["id"], location.strip_prefix("/v1/jobs/").unwrap());
    location
}

async fn until_job(client: &Client, location: &str, status: &str) -> Value {
    until(&format!("{location} to be {status}"), 2 * SOON, async || {
        let job = client.get(&format!("/{location}")).await.good();
        if job["status"] == status { Ok(job) } else { Err(job.to_string()) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_request_is_answered_although_each_proxy_that_had_it_is_killed() {
    let model = FakeModel::start(&[]).await;
    let builder = Gateway::builder().apart(0).model(&model).env("GANTRY_PROXY_CONCURRENCY", "1");
    let mut gateway = builder.start().await;
    gateway.proxy.as_mut().unwrap().kill9().await;
    let (mut first, client) = gateway.add_proxy("first").await;
    model.hold();
    let filler = client.clone();
    let filling = async {
        Client::send(
            filler
                .request(reqwest::Method::POST, "//v1/chat/completions")
                .json(&json!({"model": "fake-model", "messages": [{"role": "user", "content": "fill"}]})),
        )
        .await
    };
    let location = async {
        model.until_asked(1).await;
        let location = deferred(&client, "fake-model", &[("idempotency-key", "once")]).await;
        // Whoever was told 202 has nothing more to do, and the proxy that said it is no more.
        first.kill9().await;
        location
    };
    let (filled, location) = tokio::join!(filling, location);
    assert!(filled.is_err(), "the request that nobody wanted as a job died with the proxy");
    let (mut second, client) = gateway.add_proxy("second").await;
    let began = Instant::now();
    let running = until_job(&client, &location, "running").await;
    println!("the job of a killed proxy runs after {} ms", began.elapsed().as_millis());
    assert_eq!(running["attempt"], 1, "nobody had seen it before");
    model.until_asked(2).await;
    second.kill9().await;
    let (_third, client) = gateway.add_proxy("third").await;
    assert_eq!(client.get(&format!("/{location}")).await.good()["attempt"], 1, "every proxy knows it");
    let began = Instant::now();
    model.until_asked(3).await;
    println!("it runs again {} ms after the next proxy was there", began.elapsed().as_millis());
    let again = until_job(&client, &location, "running").await;
    assert_eq!(again["attempt"], 2, "the second run says that it is one: {again}");
    model.release();
    let done = until_job(&client, &location, "completed").await;
    assert_eq!((&done["attempt"], &done["response"]["status_code"]), (&json!(2), &json!(200)), "{done}");
    assert!(done["response"]["body"]["choices"][0]["message"]["content"].is_string(), "{done}");
    assert_eq!(model.asked().len(), 3, "the one that filled the place, and two attempts");
    assert_eq!(deferred(&client, "fake-model", &[("idempotency-key", "once")]).await, location);
    assert_eq!(model.asked().len(), 3, "the same key is the same job, which has its answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_under_way_at_a_proxy_that_is_stopped_in_order_goes_back_to_the_queue() {
    let model = FakeModel::start(&[]).await;
    let settings = [("GANTRY_PROXY_CONCURRENCY", "1"), ("GANTRY_SHUTDOWN_S", "3")];
    let builder = settings
        .into_iter()
        .fold(Gateway::builder().apart(0).model(&model), |builder, (name, value)| builder.env(name, value));
    let mut gateway = builder.start().await;
    gateway.proxy.as_mut().unwrap().kill9().await;
    model.hold();
    let (mut first, client) = gateway.add_proxy("first").await;
    let accepting = async {
        model.until_asked(1).await;
        let location = deferred(&client, "fake-model", &[]).await;
        first.kill9().await;
        location
    };
    let body = json!({"model": "fake-model", "messages": [{"role": "user", "content": "fill"}]});
    let filling = Client::send(client.request(reqwest::Method::POST, "//v1/chat/completions").json(&body));
    let (_, location) = tokio::join!(filling, accepting);
    let (mut second, client) = gateway.add_proxy("second").await;
    until_job(&client, &location, "running").await;
    // A request that waits keeps the proxy from ending before its time is over.
    let waiting = ask(&client, "fake-model", &[]);
    let stopping = async {
        until("the request to wait beside the job", SOON, async || {
            let metrics = client.get("//metrics").await.text;
            if metrics.lines().any(|line| line == "gantry_proxy_open_requests 2") { Ok(()) } else { Err(metrics) }
        })
        .await;
        second.stop().await
    };
    let (refused, stopped) = tokio::join!(waiting, stopping);
    assert!(stopped.success() && refused.json()["error"]["code"] == "gateway_stopping", "{stopped}: {refused:?}");
    let (_third, client) = gateway.add_proxy("third").await;
    model.release();
    let done = until_job(&client, &location, "completed").await;
    assert_eq!((&done["attempt"], &done["response"]["status_code"]), (&json!(2), &json!(200)), "{done}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_must_be_started_first_answers_a_job_and_the_end_is_posted() {
    let (tell, mut told) = tokio::sync::mpsc::channel::<Value>(4);
    let take = async move |axum::Json(body): axum::Json<Value>| {
        tell.send(body).await.unwrap();
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hook = format!("http://{}/hook", listener.local_addr().unwrap());
    let receiver = axum::Router::new().route("/hook", axum::routing::post(take));
    let receiving = async { axum::serve(listener, receiver).await.unwrap() };
    let asking = async {
        let mut world = World::with(|builder| builder.env("GANTRY_NOTIFY_ALLOW_TARGETS", "127.0.0.1")).await;
        let more = json!({"models": ["later"], "backend_kind": "llamacpp", "upstream_model": "tiny"});
        let name = world.llama(more).await;
        let client = world.client().with_token(None);
        until("the model to be listed", SOON, async || {
            let models = client.get("//v1/models").await.good();
            let listed = models["data"].as_array().unwrap().iter().any(|one| one["id"] == "later");
            if listed { Ok(()) } else { Err(models.to_string()) }
        })
        .await;
        let location = deferred(&client, "later", &[("gantry-callback", &hook)]).await;
        let done = until_job(&client, &location, "completed").await;
        assert!(world.is_running(&name).await && done["attempt"] == 1, "{done}");
        let content = &done["response"]["body"]["choices"][0]["message"]["content"];
        assert!(content.is_string(), "{done}");
        let posted = tokio::time::timeout(SOON, told.recv()).await.expect("the end is posted").unwrap();
        assert_eq!((&posted["job_id"], &posted["status"]), (&done["id"], &json!("completed")));
        assert_eq!(&posted["result"]["body"]["choices"][0]["message"]["content"], content);
        let now = ask(&client, "later", &[("prefer", "respond-async")]).await;
        assert_eq!(now.status, 200, "it serves, so nothing waits: {}", now.text);
        let usage = world.client().get("//v1/usage").await;
        assert_eq!(usage.status, 200, "{usage:?}");
    };
    tokio::select! { () = receiving => {} () = asking => {} }
}

#[tokio::test]
async fn requests_that_became_jobs_are_listed_shown_fetched_and_cancelled_from_the_command_line() {
    let model = FakeModel::start(&[]).await;
    let gateway = Gateway::builder().model(&model).env("GANTRY_PROXY_CONCURRENCY", "1").start().await;
    let client = &gateway.client;
    model.hold();
    let acting = async {
        model.until_asked(1).await;
        let mut ids = Vec::new();
        for _ in 0..2 {
            let location = deferred(client, "fake-model", &[]).await;
            ids.push(location.strip_prefix("/v1/jobs/").unwrap().to_owned());
        }
        let [first, second] = ids.try_into().unwrap();
        let listed = gateway.cli(&["jobs", "--requests", "--status", "queued", "-o", "json"]).await.json();
        let listed: Vec<&str> = listed.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect();
        assert_eq!(listed, [&second, &first], "newest first");
        let table = gateway.cli(&["jobs", "--requests"]).await;
        assert!(table.good().contains("fake-model") && table.data.contains(&first), "{table:?}");
        let shown = gateway.cli(&["job", &first]).await;
        assert!(shown.good().starts_with(&format!("{first}: queued\n  model: fake-model\n")), "{shown:?}");
        let early = gateway.cli(&["job", "result", &first]).await;
        assert!(early.code == 1 && early.remarks.contains("has no answer: it is queued"), "{early:?}");
        let late = gateway.cli(&["job", "wait", &first, "--timeout", "10ms"]).await;
        assert_eq!(late.code, 124, "{late:?}");
        gateway.cli(&["cancel", &second]).await.good();
        assert_eq!(gateway.cli(&["job", "wait", &second]).await.code, 3);
        let priority = gateway.cli(&["job", "priority", &second, "1"]).await;
        assert!(priority.code == 2 && priority.remarks.contains("never pause"), "{priority:?}");
        let unknown = gateway.cli(&["job", "show", &format!("job_{}", "0".repeat(32))]).await;
        assert!(unknown.code == 1 && unknown.remarks.contains("gantry jobs --requests"), "{unknown:?}");
        model.release();
        let watched = gateway.cli(&["job", "watch", &first]).await;
        assert!(watched.good().ends_with("completed"), "{watched:?}");
        let waited = gateway.cli(&["job", "wait", &first, "-o", "json"]).await.json();
        assert_eq!((&waited["status"], &waited["response"]["status_code"]), (&json!("completed"), &json!(200)));
        let result = gateway.cli(&["job", "result", &first]).await.json();
        assert_eq!(result, waited["response"]["body"]);
        assert!(result["choices"][0]["message"]["content"].is_string(), "{result}");
    };
    let (filled, ()) = tokio::join!(ask(client, "fake-model", &[]), acting);
    assert_eq!(filled.status, 200, "{}", filled.text);
}
