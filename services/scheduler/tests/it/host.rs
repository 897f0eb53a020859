//! A GPU host whose containers are workers: what a real agent does with orders, without an engine.

use crate::worker::{Seen, Worker};
use crate::world::now;
use bus::Bus;
use domain::nodes::{
    Cause, ContainerEvent, ContainerName, ContainerReport, ContainerState, DeviceReport, Devices, EngineReport,
    Failure, FailureKind, Health, Memory, NodeEvent, NodeId, NodeReport, Operation, OperationEvent, Order, Outcome,
    Phase, Reading, SourceKind, What,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};

/// A container that can be started on the host.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) port: u16,
    pub(crate) vram_mb: u64,
    pub(crate) seen: Arc<Seen>,
}

struct Inside {
    bus: Bus,
    node: NodeId,
    images: BTreeMap<String, Image>,
    running: BTreeMap<String, (Worker, Option<u64>)>,
    orders: Vec<(String, String)>,
    number: u64,
    /// Whether its GPUs cannot be read.
    blind: bool,
}

pub(crate) struct Host {
    inside: Arc<Mutex<Inside>>,
    tasks: service::Tasks,
    kick: mpsc::Sender<()>,
}

pub(crate) const GPU_MB: u64 = 8_192;

/// A port that nobody uses.
pub(crate) fn free_port() -> u16 {
    nats_process::free_port().unwrap()
}

impl Host {
    pub(crate) fn start(bus: &Bus, name: &str, images: &[(&str, &Image)]) -> Self {
        Self::begin(bus, name, images, false)
    }

    /// One whose GPUs cannot be read from its first word on.
    pub(crate) fn start_blind(bus: &Bus, name: &str, images: &[(&str, &Image)]) -> Self {
        Self::begin(bus, name, images, true)
    }

    fn begin(bus: &Bus, name: &str, images: &[(&str, &Image)], blind: bool) -> Self {
        let node = NodeId::new(name).unwrap();
        let images = images.iter().map(|(name, image)| ((*name).to_owned(), (*image).clone())).collect();
        let (running, orders) = (BTreeMap::new(), Vec::new());
        let inside = Inside { bus: bus.clone(), node: node.clone(), images, running, orders, number: 0, blind };
        let inside = Arc::new(Mutex::new(inside));
        let (kick, mut kicked) = mpsc::channel(16);
        let host = Self { inside: inside.clone(), tasks: service::Tasks::new(), kick };
        let (stop, beating) = (host.tasks.stop_token(), inside.clone());
        host.tasks.request("heartbeat", async move {
            loop {
                beating.lock().await.report().await;
                tokio::select! {
                    () = stop.cancelled() => return Ok::<(), std::convert::Infallible>(()),
                    _ = kicked.recv() => {}
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
            }
        });
        let (stop, mut orders) = (host.tasks.stop_token(), bus.nodes().orders(&node));
        host.tasks.request("orders", async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return Ok::<(), std::convert::Infallible>(()),
                    delivery = orders.next() => {
                        inside.lock().await.carry_out(&delivery.order).await;
                        delivery.ack().await;
                    }
                }
            }
        });
        host
    }

    /// The agent and everything on its host is gone without a word.
    pub(crate) async fn vanish(self) {
        self.tasks.stop(Duration::from_secs(2)).await;
        self.inside.lock().await.running.clear();
    }

    /// Its GPUs can be read no longer, or again.
    pub(crate) async fn blinded(&self, blind: bool) {
        self.inside.lock().await.blind = blind;
        self.kick.send(()).await.unwrap();
    }

    /// A person starts a container.
    pub(crate) async fn start_by_hand(&self, container: &str) {
        let mut inside = self.inside.lock().await;
        assert!(inside.start(container, None).await.is_none());
        drop(inside);
        self.kick.send(()).await.unwrap();
    }

    /// A container ends by itself.
    pub(crate) async fn crash(&self, container: &str) {
        self.inside.lock().await.crash(container).await;
        self.kick.send(()).await.unwrap();
    }

    /// The orders so far: what was to be done with which container.
    pub(crate) async fn orders(&self) -> Vec<(String, String)> {
        self.inside.lock().await.orders.clone()
    }

    pub(crate) async fn running(&self) -> Vec<String> {
        self.inside.lock().await.running.keys().cloned().collect()
    }
}

impl Inside {
    async fn report(&mut self) {
        self.number += 1;
        let used: u64 = self.running.keys().map(|name| self.images[name].vram_mb).sum();
        let device = DeviceReport {
            id: format!("GPU-{}", self.node),
            index: 0,
            name: "Test GPU".to_owned(),
            unified: false,
            memory: Memory {
                total_mb: Reading::measured(GPU_MB),
                used_mb: Reading::measured(used),
                free_mb: Reading::measured(GPU_MB.saturating_sub(used)),
            },
            reserve_mb: 0,
            utilisation_percent: Reading::unavailable("a test"),
            temperature_c: Reading::unavailable("a test"),
            power_w: Reading::unavailable("a test"),
            processes: Reading::unavailable("a test"),
        };
        let containers = self.running.iter().map(|(name, (_, generation))| self.container(name, *generation, up()));
        let report = NodeReport {
            node: self.node.clone(),
            instance: "test".to_owned(),
            number: self.number,
            at: now(),
            version: "test".to_owned(),
            devices: if self.blind {
                Devices::Failing { source: SourceKind::Recorded, because: "a test".to_owned() }
            } else {
                Devices::Seen { source: SourceKind::Recorded, devices: vec![device] }
            },
            engine: EngineReport::Up { version: "test".to_owned(), containers: containers.collect() },
            system_total_mb: Reading::unavailable("a test"),
            system_available_mb: Reading::unavailable("a test"),
        };
        self.bus.nodes().report(&report).await.unwrap();
    }

    async fn carry_out(&mut self, order: &Order) {
        let name = order.container.as_str().to_owned();
        self.orders.push((order.operation.verb().to_owned(), name.clone()));
        let failed = match &order.operation {
            Operation::Start { .. } => self.start(&name, order.generation).await,
            Operation::Stop { .. } => {
                self.running.remove(&name);
                None
            }
            Operation::Create { .. } | Operation::Restart { .. } | Operation::Inspect | Operation::Remove { .. } => {
                panic!("the scheduler does not order that: {order:?}")
            }
        };
        let result =
            failed.map_or(Outcome::Done { changed: true, container: None }, |failure| Outcome::Failed { failure });
        let operation = OperationEvent {
            id: order.id.clone(),
            container: order.container.clone(),
            generation: order.generation,
            verb: order.operation.verb().to_owned(),
            newest_generation: order.generation,
            running_since: None,
            phase: Phase::Ended { result },
        };
        self.event(&order.id.to_string(), What::Operation(operation)).await;
        self.report().await;
    }

    async fn start(&mut self, name: &str, generation: Option<u64>) -> Option<Failure> {
        let Some(image) = self.images.get(name) else {
            return Some(Failure { kind: FailureKind::ContainerNotFound, text: format!("no container '{name}'") });
        };
        let worker = Worker::start_at(image.port, image.seen.clone()).await;
        self.running.insert(name.to_owned(), (worker, generation));
        None
    }

    async fn crash(&mut self, name: &str) {
        let (worker, generation) = self.running.remove(name).unwrap();
        drop(worker);
        let state = ContainerState::Exited { code: 137, out_of_memory: false, at: None };
        let container = self.container(name, generation, state);
        let changed = ContainerEvent { cause: Cause::Exited, container };
        self.event(&format!("crash-{name}-{generation:?}"), What::Container(changed)).await;
    }

    async fn event(&self, id: &str, what: What) {
        let event = NodeEvent { node: self.node.clone(), at: now(), what };
        self.bus.nodes().record(id, &event).await.unwrap();
    }

    fn container(&self, name: &str, generation: Option<u64>, state: ContainerState) -> ContainerReport {
        ContainerReport {
            id: format!("id-{name}"),
            name: ContainerName::new(name).unwrap().to_string(),
            image: "test:1".to_owned(),
            state,
            health: Health::None,
            generation,
            started_at: None,
            definition: None,
        }
    }
}

fn up() -> ContainerState {
    ContainerState::Running { pid: Some(1) }
}
