//! Ledgers as server-sent events, byte by byte.

use crate::flows::{echoed, gateway, start, started};
use futures::TryStreamExt;
use serde_json::json;
use testkit::{Event, Gateway, SOON, Stream, until};

async fn all(mut stream: Stream) -> Stream {
    while stream.next().await.unwrap().is_some() {}
    stream
}

#[tokio::test]
async fn an_ended_run_is_replayed_from_any_cursor_and_closed_with_done() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let run = echoed(client, "Hello").await;
    let page = client.get(&format!("/runs/{run}/ledger")).await.good();
    let event = |place: usize| {
        // The record is on the wire as it is in the page, byte by byte.
        let record = page["items"][place - 1].to_string();
        format!("id: {place}\nevent: step\ndata: {{\"cursor\": {place}, \"record\": {record}}}\n\n")
    };
    let done = |cursor: usize| {
        format!("event: done\ndata: {{\"run_id\": \"{run}\", \"cursor\": {cursor}, \"status\": \"terminal\"}}\n\n")
    };
    let raw = async |query: &str, last: Option<u64>| all(client.stream(&run, query, last).await.unwrap()).await;
    let whole = raw("after=0", None).await;
    assert_eq!(whole.raw, [event(1), event(2), done(2)].concat());
    assert_eq!(whole.headers["content-type"], "text/event-stream; charset=utf-8");
    assert!(!whole.headers.contains_key("cache-control"));
    assert_eq!(raw("", None).await.raw, whole.raw);
    assert_eq!(raw("after=1", None).await.raw, [event(2), done(2)].concat());
    assert_eq!(raw("after=50", None).await.raw, done(50));
    assert_eq!(raw("", Some(1)).await.raw, [event(2), done(2)].concat(), "Last-Event-ID stands in for after");
    assert_eq!(raw("after=0", Some(1)).await.raw, whole.raw, "after comes first");
}

#[tokio::test]
async fn a_stream_follows_a_run_live_and_stays_awake_in_between() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let run = start(client, "ask", json!({})).await;
    client.until_status(&run, "waiting").await;
    let mut stream = client.stream(&run, "heartbeat_s=0.2", None).await.unwrap();
    for place in 1..=2 {
        assert!(matches!(stream.next().await.unwrap(), Some(Event::Step { id, .. }) if id == place));
    }
    assert_eq!(stream.next().await.unwrap(), Some(Event::Comment("keep-alive".to_owned())));
    assert!(stream.raw.ends_with("\n\n: keep-alive\n\n"), "{}", stream.raw);
    client.command("go-on", &run, "resume", json!({"payload": {"response": "x"}})).await.good();
    let mut places = Vec::new();
    let done = loop {
        match stream.next().await.unwrap().expect("done comes before the end") {
            Event::Step { id, .. } => places.push(id),
            Event::Comment(_) => {}
            Event::Named { name, data } => break (name, data),
        }
    };
    assert_eq!(places, [3, 4, 5]);
    assert_eq!(done, ("done".to_owned(), json!({"run_id": run, "cursor": 5, "status": "terminal"})));
    assert_eq!(stream.next().await.unwrap(), None, "the server closes after done");
}

#[tokio::test]
async fn what_a_client_is_told_is_in_the_ledger_already() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let runs =
        futures::future::join_all((0..24).map(|n| start(client, "echo", json!({"prompt": n.to_string()})))).await;
    let looks = runs.iter().map(async |run| {
        // The moment a status says that the run has ended, its ledger has the last record.
        client.until_ended(run).await;
        let records = client.ledger(run).await;
        assert_eq!(records.last().unwrap()["idempotency_key"], "system:terminal_status:completed", "{run}");
        assert_eq!(client.follow(run).await.records, records);
    });
    futures::future::join_all(looks).await;
}

#[tokio::test]
async fn a_stream_that_cannot_be_is_refused_before_it_opens() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let unknown = client.get("/runs/nope/ledger/stream").await;
    assert_eq!(
        (unknown.refusal(), unknown.header("content-type")),
        ((404, "Run 'nope' not found".to_owned()), "application/json")
    );
    let run = echoed(client, "x").await;
    let quick = client.get(&format!("/runs/{run}/ledger/stream?heartbeat_s=0.05")).await;
    let issue = json!({"detail": [{"type": "greater_than", "loc": ["query", "heartbeat_s"],
        "msg": "Input should be greater than 0.1", "input": "0.05", "ctx": {"gt": 0.1}}]});
    assert_eq!((quick.status, quick.json()), (422, issue));
    assert_eq!(client.get(&format!("/runs/{run}/ledger/stream?heartbeat_s=61")).await.status, 422);
}

/// Consumers of all streams of the broker.
async fn consumers(gateway: &Gateway) -> usize {
    let read = |name: &str| std::fs::read_to_string(gateway.data_dir().join("auth").join(name)).unwrap();
    let options =
        async_nats::ConnectOptions::new().user_and_password("gantry".to_owned(), read("nats-gantry").trim().to_owned());
    let context = async_nats::jetstream::new(options.connect(read("nats.url").trim()).await.unwrap());
    let streams: Vec<_> = context.streams().try_collect().await.unwrap();
    streams.iter().map(|stream| stream.state.consumer_count).sum()
}

#[tokio::test]
async fn however_many_clients_follow_runs_the_broker_serves_no_more_consumers() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let run = start(client, "ask", json!({})).await;
    client.until_status(&run, "waiting").await;
    let before = consumers(&gateway).await;
    let mut open = Vec::new();
    for _ in 0..24 {
        let mut stream = client.stream(&run, "", None).await.unwrap();
        assert!(matches!(stream.next().await.unwrap(), Some(Event::Step { id: 1, .. })));
        open.push(stream);
    }
    // The gateway's own may still grow by some after its start, but not by one for each client.
    until("as many consumers as before", SOON, async || {
        let now = consumers(&gateway).await;
        if now < before + open.len() { Ok(()) } else { Err(format!("{now} instead of {before}")) }
    })
    .await;
    client.command("go-on", &run, "resume", json!({"payload": {"response": "x"}})).await.good();
    client.until_status(&run, "completed").await;
    let whole = client.ledger(&run).await.len();
    for stream in open {
        let shown = all(stream).await;
        assert_eq!(shown.raw.matches("event: step").count(), whole, "each client sees each record once");
    }
}
