//! Build and run: which tasks, of which kind.

use crate::config::Config;
use crate::containers::{Change, Engine, follow};
use crate::devices::{Chooser, Describer, Reserves};
use crate::drive::Driver;
use crate::memory::Memories;
use crate::report::Reporter;
use crate::turns::{Turn, Turns};
use crate::{clock, metrics};
use bus::{Bus, BusError, Nodes, OrderDelivery};
use domain::nodes::{ContainerEvent, NodeEvent, NodeId, What};
use service::{Health, Tasks};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

/// Changes of containers that wait to be told.
const CHANGES: usize = 1_024;

/// What an agent is made of.
pub struct Parts {
    /// The broker.
    pub bus: Bus,
    /// Settings.
    pub config: Config,
    /// Where the agent says whether its reports arrive.
    pub health: Health,
}

/// Spawns an agent's tasks.
pub fn spawn(parts: Parts, tasks: &Tasks) {
    let Parts { bus, config, health } = parts;
    let (nodes, stop) = (bus.nodes(), tasks.stop_token());
    let engine = Arc::new(Engine::new(&config.engine));
    let memories = Arc::new(Memories::new(nodes.clone(), config.node.clone()));
    let (changes, heard) = mpsc::channel(CHANGES);

    let (followed, until) = (engine.clone(), stop.clone());
    tasks.critical("node-containers", async move {
        tokio::select! {
            () = follow(&followed, &changes) => {}
            () = until.cancelled() => {}
        }
        Ok::<(), Infallible>(())
    });
    tasks.critical("node-events", tell(nodes.clone(), config.node.clone(), memories.clone(), heard, stop.clone()));
    let reserves = Reserves { own_mb: config.reserve_mb, unified_mb: config.unified_reserve_mb };
    let reporter = Reporter {
        node: config.node.clone(),
        instance: instance(),
        nodes: nodes.clone(),
        engine: engine.clone(),
        memories: memories.clone(),
        chooser: Chooser::new(config.source, config.nvidia_smi),
        describer: Describer { proc: config.proc, reserves },
        interval: config.interval,
        check: health.check("gpu-monitor"),
        connects: bus.connects(),
    };
    tasks.critical("node-reports", reporter.run(stop.clone()));
    let driver = Driver { node: config.node, nodes, engine, memories, volume_roots: config.volume_roots };
    tasks.critical("node-orders", orders(Arc::new(driver), tasks.clone(), stop));
}

/// A name that no other agent process has.
fn instance() -> String {
    format!("{}-{}", std::process::id(), clock::now().as_micros())
}

/// Takes orders; those for different containers are carried out side by side.
async fn orders(driver: Arc<Driver>, tasks: Tasks, stop: CancellationToken) -> Result<(), Infallible> {
    let turns = Turns::default();
    let mut deliveries = driver.nodes.orders(&driver.node);
    loop {
        let delivery = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            delivery = deliveries.next() => delivery,
        };
        let turn = turns.take(&delivery.order.container);
        let (driver, stop) = (driver.clone(), stop.clone());
        tasks.request("node-order", async move {
            take(&driver, delivery, turn, stop).await;
            Ok::<(), Infallible>(())
        });
    }
}

/// Carries out one order while showing that it is being seen to.
async fn take(driver: &Driver, delivery: OrderDelivery, mut turn: Turn, stop: CancellationToken) {
    let began = Instant::now();
    let work = async {
        turn.come().await;
        driver.carry_out(&delivery.order).await
    };
    let mut work = std::pin::pin!(work);
    let mut signs = interval(Bus::SIGN_OF_LIFE);
    let done = loop {
        tokio::select! {
            done = &mut work => break Some(done),
            _ = signs.tick() => delivery.sign_of_life().await,
            // An agent that stops leaves the order to its successor, which finds what was begun.
            () = stop.cancelled() => break None,
        }
    };
    match done {
        Some(Ok(())) => {
            delivery.ack().await;
            ::metrics::histogram!(metrics::ORDER_SECONDS).record(began.elapsed().as_secs_f64());
        }
        Some(Err(error)) => {
            tracing::warn!(%error, order = %delivery.order.id, "an order could not be seen to; it comes again");
            delivery.again_in(Duration::from_secs(1)).await;
        }
        None => delivery.again_in(Duration::ZERO).await,
    }
}

/// Tells changes of containers in the order in which they happened.
async fn tell(
    nodes: Nodes,
    node: NodeId,
    memories: Arc<Memories>,
    mut heard: mpsc::Receiver<Change>,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    loop {
        let change = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            change = heard.recv() => change,
        };
        let Some(change) = change else { return Ok(()) };
        if let Err(error) = tell_one(&nodes, &node, &memories, change).await {
            tracing::warn!(%error, "a change of a container was not told by itself; the next report shows it");
        }
    }
}

async fn tell_one(nodes: &Nodes, node: &NodeId, memories: &Memories, change: Change) -> Result<(), BusError> {
    let container = memories.complete(change.container).await?;
    let what = What::Container(ContainerEvent { cause: change.cause, container });
    let event = NodeEvent { node: node.clone(), at: clock::now(), what };
    nodes.record(&format!("{node}.{}", change.key), &event).await?;
    ::metrics::counter!(metrics::CHANGES).increment(1);
    Ok(())
}
