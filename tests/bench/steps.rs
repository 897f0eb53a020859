//! Durable steps without HTTP around them: inbox message to stored step.

use crate::client::Client;
use crate::gateway::Gateway;
use crate::runs;
use anyhow::{Context, Result, bail};
use bus::{Bus, BusOptions, Connection, TraceContext};
use bytes::Bytes;
use domain::{InboxMessage, Plane, RunId, Source, StartRun, Time};
use futures::StreamExt;
use std::time::{Duration, Instant};

/// Runs of one step that are under way at once; as many as there are writers of the ceiling.
pub(crate) const AT_ONCE: usize = 64;

/// Steps per second over so many one-step runs. Each is two stored messages: the start in the run's inbox, and the step.
pub(crate) async fn per_second(gateway: &Gateway, count: usize) -> Result<f64> {
    let sha256 = Client::new(gateway)?.install(runs::bundle()?).await?;
    let bus = connect(gateway).await?;
    let before = stored(&bus).await?;
    let began = Instant::now();
    let inbox = bus.inbox(&Plane::main());
    let sent = futures::stream::iter(0..count).map(|_| send(&inbox, &sha256)).buffer_unordered(AT_ONCE);
    let failed: Vec<anyhow::Error> = sent.filter_map(|sent| std::future::ready(sent.err())).collect().await;
    if let Some(error) = failed.into_iter().next() {
        return Err(error);
    }
    let deadline = began + Duration::from_secs(60);
    while stored(&bus).await? < before + count as u64 {
        if Instant::now() > deadline {
            bail!("{count} steps were not stored within a minute");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// The stored step of an echo run, byte for byte: what the ceiling is measured with.
pub(crate) async fn sample(gateway: &Gateway) -> Result<Bytes> {
    let client = Client::new(gateway)?;
    client.install(runs::bundle()?).await?;
    let run = client.start("echo").await?;
    client.follow(&run).await?;
    let last = connect(gateway).await?.journal(&Plane::main()).last(&RunId::new(run)).await?;
    Ok(last.context("the run has no step")?.body)
}

/// Messages of all ledgers so far.
pub(crate) async fn ledger_messages(gateway: &Gateway) -> Result<u64> {
    stored(&connect(gateway).await?).await
}

async fn connect(gateway: &Gateway) -> Result<Bus> {
    let (url, password) = gateway.broker()?;
    let connection = Connection {
        urls: vec![url],
        user: Some("gantry".to_owned()),
        password: Some(password.into()),
        name: "bench".to_owned(),
        ..Default::default()
    };
    Ok(bus::connect(&connection, BusOptions { shards: None, replicas: 1 }).await?)
}

async fn send(inbox: &bus::Inbox, sha256: &str) -> Result<()> {
    let run = RunId::new(uuid::Uuid::new_v4().to_string());
    let start = InboxMessage::Start(Box::new(StartRun {
        workflow_id: "bench@1.0.0:echo".into(),
        source: Source::Bundle { sha256: sha256.to_owned() },
        vars: serde_json::json!({ "prompt": "hi" }).as_object().cloned().context("not an object")?,
        session_id: run.as_str().into(),
        actor_id: "gateway".to_owned(),
        parent_run_id: None,
        report_to_parent: false,
        created_at: Time::from_micros(1_700_000_000_000_000),
        request_digest: None,
        run_id: run.clone(),
    }));
    let body = serde_json::to_vec(&start)?.into();
    inbox.send(&run, &format!("start-{run}"), &body, &TraceContext::default()).await?;
    Ok(())
}

/// Steps in all shards.
async fn stored(bus: &Bus) -> Result<u64> {
    let mut sum = 0;
    for shard in 0..bus.layout().shards {
        sum += bus.shard_end(shard).await?;
    }
    Ok(sum)
}
