//! A GPU host: a broker, an agent, and somebody who gives it orders and listens.

use bus::{Bus, BusOptions, Connection};
use domain::Time;
use domain::nodes::{
    ContainerEvent, ContainerName, Definition, NodeEvent, NodeId, NodeReport, Operation, OperationEvent, OperationId,
    Order, Outcome, Phase, What,
};
use gpu_monitor::devices::Choice;
use gpu_monitor::{Config, Parts};
use nats_process::Server;
use service::{Health, Tasks};
use std::path::PathBuf;
use std::time::Duration;

/// Longer than anything here takes on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct Host {
    pub(crate) bus: Bus,
    agent: Bus,
    pub(crate) config: Config,
    pub(crate) tasks: Tasks,
    pub(crate) health: Health,
    events: Vec<NodeEvent>,
    follower: bus::NodeEvents,
    _server: Server,
}

pub(crate) fn config(engine: &str) -> Config {
    Config {
        node: NodeId::new("gpu-1").unwrap(),
        source: Choice::None,
        nvidia_smi: PathBuf::from("nvidia-smi"),
        interval: Duration::from_millis(250),
        reserve_mb: 256,
        unified_reserve_mb: 4_096,
        engine: engine.to_owned(),
        volume_roots: Vec::new(),
        proc: PathBuf::from("/proc"),
    }
}

impl Host {
    pub(crate) async fn start(config: Config) -> Self {
        let server = Server::builder().start().await.unwrap();
        let connection = Connection { urls: vec![server.url()], name: "test".to_owned(), ..Default::default() };
        let bus = bus::connect(&connection, BusOptions { shards: Some(1), replicas: 1 }).await.unwrap();
        Self::on(server, bus.clone(), bus, config)
    }

    /// With a connection for the agent and one for everybody else.
    pub(crate) fn on(server: Server, bus: Bus, agent: Bus, config: Config) -> Self {
        let follower = bus.nodes().events(1);
        let (tasks, health) = (Tasks::new(), Health::new());
        let mut host = Self { bus, agent, config, tasks, health, events: Vec::new(), follower, _server: server };
        host.start_agent();
        host
    }

    pub(crate) fn start_agent(&mut self) {
        (self.tasks, self.health) = (Tasks::new(), Health::new());
        let parts = Parts { bus: self.agent.clone(), config: self.config.clone(), health: self.health.clone() };
        gpu_monitor::spawn(parts, &self.tasks);
    }

    /// Ends the agent as a crash would: nothing is waited for.
    pub(crate) async fn kill_agent(&mut self) {
        self.tasks.stop(Duration::ZERO).await;
    }

    pub(crate) fn order(&self, id: &str, container: &str, generation: Option<u64>, operation: Operation) -> Order {
        Order {
            id: OperationId::new(id),
            node: self.config.node.clone(),
            container: ContainerName::new(container).unwrap(),
            generation,
            deadline: Time::from(now()).plus_micros(30_000_000),
            operation,
        }
    }

    /// Gives an order and waits until it is over.
    pub(crate) async fn carry_out(
        &mut self,
        id: &str,
        container: &str,
        generation: Option<u64>,
        operation: Operation,
    ) -> Outcome {
        self.bus.nodes().order(&self.order(id, container, generation, operation)).await.unwrap();
        self.outcome(id).await
    }

    pub(crate) async fn outcome(&mut self, id: &str) -> Outcome {
        let is_it = |event: &OperationEvent| event.id.as_str() == id && matches!(event.phase, Phase::Ended { .. });
        let what = format!("the end of order {id}");
        let event = self.until(&what, |event| match &event.what {
            What::Operation(operation) if is_it(operation) => Some(operation.clone()),
            What::Operation(_) | What::Container(_) => None,
        });
        match event.await.phase {
            Phase::Ended { result } => result,
            Phase::Begun { .. } => unreachable!("only ends were looked for"),
        }
    }

    pub(crate) async fn begun(&mut self, id: &str) {
        self.until(&format!("the beginning of order {id}"), |event| match &event.what {
            What::Operation(operation) => (operation.id.as_str() == id).then_some(()),
            What::Container(_) => None,
        })
        .await;
    }

    pub(crate) async fn change(&mut self, what: &str, fits: impl Fn(&ContainerEvent) -> bool) -> ContainerEvent {
        self.until(what, |event| match &event.what {
            What::Container(change) if fits(change) => Some(change.clone()),
            What::Container(_) | What::Operation(_) => None,
        })
        .await
    }

    /// Everything that was told so far, as far as this test has listened.
    pub(crate) fn told(&self) -> &[NodeEvent] {
        &self.events
    }

    /// Looks through what was told, and listens until it is told.
    async fn until<T>(&mut self, what: &str, find: impl Fn(&NodeEvent) -> Option<T>) -> T {
        if let Some(found) = self.events.iter().find_map(&find) {
            return found;
        }
        let listen = async {
            loop {
                let (_, event) = self.follower.next().await;
                let found = find(&event);
                self.events.push(event);
                if let Some(found) = found {
                    return found;
                }
            }
        };
        let found = tokio::time::timeout(SOON, listen).await;
        found.unwrap_or_else(|_| panic!("{what} was not told; told was {:#?}", self.events))
    }

    /// Waits for a report that fits.
    pub(crate) async fn report(&self, what: &str, fits: impl Fn(&NodeReport) -> bool) -> NodeReport {
        let mut watch = self.bus.nodes().watch();
        let mut last = None;
        let listen = async {
            loop {
                if let bus::NodeUpdate::Report(report) = watch.next().await {
                    if fits(&report) {
                        return *report;
                    }
                    last = Some(report);
                }
            }
        };
        let found = tokio::time::timeout(SOON, listen).await;
        found.unwrap_or_else(|_| panic!("{what} was not reported; the last report was {last:#?}"))
    }
}

pub(crate) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// A container of the test image with these arguments.
pub(crate) fn definition(command: &[&str]) -> Box<Definition> {
    Box::new(Definition {
        image: testkit::service_image(),
        command: command.iter().map(|argument| (*argument).to_owned()).collect(),
        env: Default::default(),
        volumes: Vec::new(),
        ports: Vec::new(),
        network: Some("host".to_owned()),
        shared_memory_mb: None,
        gpus: Default::default(),
        pull: domain::nodes::PullPolicy::Never,
    })
}

pub(crate) fn start(command: &[&str]) -> Operation {
    Operation::Start { definition: Some(definition(command)) }
}

/// What came of an order that was to succeed.
#[track_caller]
pub(crate) fn done(outcome: Outcome) -> (bool, Option<domain::nodes::ContainerReport>) {
    match outcome {
        Outcome::Done { changed, container } => (changed, container.map(|container| *container)),
        Outcome::Failed { failure } => panic!("the order failed: {:?}: {failure}", failure.kind),
    }
}

/// Why an order failed that was to fail.
#[track_caller]
pub(crate) fn failed(outcome: Outcome) -> domain::nodes::Failure {
    match outcome {
        Outcome::Failed { failure } => failure,
        Outcome::Done { .. } => panic!("the order was carried out"),
    }
}
