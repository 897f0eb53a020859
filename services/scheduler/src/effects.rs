//! What is done once a step is stored. Each effect may be performed twice; what comes of it is fenced.

mod attempt;
mod http;
mod interrupt;
mod payloads;
mod probe;

use crate::board::Board;
use crate::config::Config;
use crate::desk::{AttemptReport, Effect, Report};
use crate::drive::Input;
use crate::names::{self, As};
use crate::{clock, metrics};
use bus::Bus;
use domain::control::ServiceRecord;
use domain::nodes::{ContainerName, NodeId, Operation, OperationId, Order};
use payloads::Payloads;
use placement::{Action, Spot, State};
use service::Tasks;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) use http::Http;
pub(crate) use probe::probe_all;

/// Orders to nodes that wait to be sent.
const ORDERS_WAITING: usize = 4_096;

/// Performs effects. Belongs to one leadership: when that ends, everything under way is dropped.
pub(crate) struct Effects {
    pub(crate) shared: Arc<Shared>,
    flights: HashMap<names::Job, Flight>,
    probes: BTreeMap<names::Service, (u64, CancellationToken)>,
    payloads: Payloads,
    orders: mpsc::Sender<Order>,
}

/// What every effect needs.
pub(crate) struct Shared {
    pub(crate) bus: Bus,
    pub(crate) http: Http,
    pub(crate) config: Arc<Config>,
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) tasks: Tasks,
    /// Cancelled when the leadership ends.
    pub(crate) leading: CancellationToken,
}

/// A service and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) record: ServiceRecord,
    pub(crate) node: String,
}

impl Board {
    pub(crate) fn target(&self, service: &names::Service) -> Option<Target> {
        let record = self.particulars.services.get(service)?.clone();
        let spot = self.cluster().services.get(service)?.container.spot.as_ref();
        Some(Target { record, node: spot.map(|spot| spot.node.to_string()).unwrap_or_default() })
    }
}

/// An attempt under way.
struct Flight {
    attempt: u32,
    service: names::Service,
    cancel: CancellationToken,
    /// Cancelled once the call is over, however it ended.
    over: CancellationToken,
    /// Set once it is told to let go: from then on only success is reported.
    interrupted: Arc<AtomicBool>,
}

impl Effects {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let (orders, waiting) = mpsc::channel(ORDERS_WAITING);
        shared.spawn("node-orders", send_orders(shared.bus.clone(), waiting));
        Self { shared, flights: HashMap::new(), probes: BTreeMap::new(), payloads: Payloads::default(), orders }
    }

    /// Performs what a stored step owes.
    pub(crate) fn perform(&mut self, effects: Vec<Effect>, board: &Board) {
        for effect in effects {
            match effect {
                Effect::Remember { job, payload } => self.payloads.keep(job, payload),
                Effect::Forget { job } => self.forget(job),
                Effect::Act(action) => self.act(action, board),
            }
        }
    }

    /// Performs what a predecessor announced and perhaps did not do. Attempts are not sent again: nobody can hear their
    /// answers any more, so each is made to let go of its slot.
    pub(crate) fn take_over(&mut self, owed: Vec<Action>, board: &Board) {
        for action in owed {
            match action {
                Action::Dispatch { job, attempt, service, deadline, .. } => {
                    let cause = "abandoned";
                    self.let_go(&job, attempt, board.target(&service), cause, deadline);
                }
                Action::Start { .. } | Action::Stop { .. } | Action::Interrupt { .. } => self.act(action, board),
                Action::Drain { .. }
                | Action::Claim { .. }
                | Action::Resume { .. }
                | Action::Requeue { .. }
                | Action::Expire { .. }
                | Action::Fail { .. } => {}
            }
        }
    }

    fn act(&mut self, action: Action, board: &Board) {
        match action {
            Action::Start { service, spot, generation } => {
                self.start(board.particulars.services.get(&service), &spot, generation)
            }
            Action::Stop { service, generation, .. } => self.stop(&service, generation, board),
            Action::Dispatch { job, attempt, service, deadline, .. } => {
                self.dispatch(job, attempt, service, deadline, board);
            }
            Action::Interrupt { job, attempt, service, cause, deadline } => {
                let cause = interrupt::word(&cause);
                self.let_go(&job, attempt, board.target(&service), cause, deadline);
            }
            Action::Requeue { job, attempt, .. } => self.drop_flight(&job, attempt),
            Action::Drain { .. }
            | Action::Claim { .. }
            | Action::Resume { .. }
            | Action::Expire { .. }
            | Action::Fail { .. } => {}
        }
    }

    fn dispatch(
        &mut self,
        job: names::Job,
        attempt: u32,
        service: names::Service,
        deadline: domain::Time,
        board: &Board,
    ) {
        let Some(target) = board.target(&service) else { return };
        metrics::dispatched(&target.record.service_type);
        let cancel = self.shared.leading.child_token();
        let (over, interrupted) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let payload = self.payloads.take(&job);
        let progress = board.particulars.notes.get(&job).and_then(|notes| notes.progress.clone());
        let attempt_of = attempt::Attempt { job: job.clone(), attempt, target, deadline, payload, progress };
        let (shared, flag) = (self.shared.clone(), interrupted.clone());
        let flight = Flight { attempt, service, cancel: cancel.clone(), over: over.clone(), interrupted };
        if let Some(before) = self.flights.insert(job.clone(), flight) {
            before.cancel.cancel();
        }
        self.shared.tasks.request("attempt", async move {
            let _over = over.drop_guard();
            let report = tokio::select! {
                () = cancel.cancelled() => return Ok::<(), Infallible>(()),
                report = attempt_of.run(&shared) => report,
            };
            let fell = matches!(report, Report::Failed { .. });
            if !(fell && flag.load(Ordering::Acquire)) {
                shared.report(AttemptReport { job, attempt, what: report }).await;
            }
            Ok(())
        });
    }

    /// Makes an attempt let go of its slot: asked first if the service can be, then by hanging up.
    fn let_go(
        &mut self,
        job: &names::Job,
        attempt: u32,
        target: Option<Target>,
        cause: &'static str,
        deadline: domain::Time,
    ) {
        let Some(target) = target else { return };
        let flight = self.flights.get(job).filter(|flight| flight.attempt == attempt);
        let call = flight.map(|flight| {
            flight.interrupted.store(true, Ordering::Release);
            interrupt::Call { hang_up: flight.cancel.clone(), over: flight.over.clone() }
        });
        let letting = interrupt::LetGo { job: job.clone(), attempt, target, cause, deadline, call };
        let shared = self.shared.clone();
        let leading = shared.leading.clone();
        self.shared.tasks.request("interrupt", async move {
            tokio::select! {
                () = leading.cancelled() => {}
                () = letting.run(&shared) => {}
            }
            Ok::<(), Infallible>(())
        });
    }

    fn drop_flight(&mut self, job: &names::Job, attempt: u32) {
        if self.flights.get(job).is_some_and(|flight| flight.attempt <= attempt)
            && let Some(flight) = self.flights.remove(job)
        {
            flight.cancel.cancel();
        }
    }

    /// Forgets attempts that are over. Called with each report.
    pub(crate) fn ended(&mut self, job: &names::Job, attempt: u32) {
        if self.flights.get(job).is_some_and(|flight| flight.attempt == attempt) {
            self.flights.remove(job);
        }
    }

    /// A job has ended: its payload is not needed any more.
    pub(crate) fn done(&mut self, job: &names::Job) {
        self.payloads.drop(job);
    }

    fn start(&mut self, record: Option<&ServiceRecord>, spot: &Spot, generation: u64) {
        let Some(record) = record else { return };
        let timeout = record.more.start_timeout_ms.unwrap_or(self.shared.config.policy.start_timeout_ms);
        let definition = record.more.definition.clone().map(Box::new);
        let operation = Operation::Start { definition };
        self.order(record, spot.node.as_str(), generation, "start", operation, timeout);
    }

    fn stop(&mut self, service: &names::Service, generation: u64, board: &Board) {
        // What was sent to it is dropped without a word: the core gives these attempts back when the stop is confirmed.
        let on_it = self.flights.iter().filter(|(_, flight)| flight.service == *service);
        let jobs: Vec<names::Job> = on_it.map(|(job, _)| job.clone()).collect();
        for flight in jobs.iter().filter_map(|job| self.flights.remove(job)) {
            flight.cancel.cancel();
        }
        let Some(Target { record, node }) = board.target(service) else { return };
        if record.url.is_some() {
            let (shared, service) = (self.shared.clone(), service.clone());
            self.shared.spawn("let-be", async move {
                shared.send(Input::LetBe { service, generation }).await;
            });
            return;
        }
        let operation = Operation::Stop { grace_ms: record.more.stop_grace_ms };
        let timeout = record.more.stop_grace_ms + self.shared.config.policy.command_timeout_ms;
        self.order(&record, &node, generation, "stop", operation, timeout);
    }

    fn order(
        &self,
        record: &ServiceRecord,
        node: &str,
        generation: u64,
        verb: &str,
        operation: Operation,
        timeout_ms: u64,
    ) {
        let Some(container) = record.container.as_deref() else { return };
        let (Ok(node), Ok(container)) = (NodeId::new(node), ContainerName::new(container)) else {
            tracing::error!(service = %record.name, node, container, "an order cannot be given: a name does not fit");
            return;
        };
        let now = clock::now();
        let timeout = i64::try_from(timeout_ms).unwrap_or(i64::MAX).saturating_mul(1_000);
        // A start is given once however often it is repeated; a stop is repeated because it did not help.
        let again = if verb == "stop" { now.as_micros() / 5_000_000 } else { 0 };
        let order = Order {
            id: OperationId::new(format!("{verb}-{}-{generation}-{again}", record.name)),
            node,
            container,
            generation: Some(generation),
            deadline: now.plus_micros(timeout),
            operation,
        };
        if self.orders.try_send(order).is_err() {
            tracing::error!(service = %record.name, verb, "too many orders wait for the broker; the core repeats it");
        }
    }

    fn forget(&mut self, job: names::Job) {
        self.payloads.drop(&job);
        let documents = self.shared.bus.job_documents();
        self.shared.spawn("forget", async move {
            if let Err(error) = documents.forget(&job.cast()).await {
                tracing::debug!(%error, %job, "documents of a forgotten job are left behind");
            }
        });
    }

    /// Sees to it that exactly the services whose health is awaited are asked for it.
    pub(crate) fn watch_health(&mut self, board: &Board) {
        let cluster = board.cluster();
        let awaited = |name: &names::Service, generation: u64| {
            cluster.services.get(name).is_some_and(|known| {
                let waits = matches!(known.container.state, State::Starting { .. } | State::Unhealthy { .. });
                waits && known.container.generation == generation
            })
        };
        self.probes.retain(|name, (generation, stop)| {
            let wanted = awaited(name, *generation) && !stop.is_cancelled();
            if !wanted {
                stop.cancel();
            }
            wanted
        });
        for (name, known) in &cluster.services {
            let generation = known.container.generation;
            if !awaited(name, generation) || self.probes.contains_key(name) {
                continue;
            }
            let Some(target) = board.target(name) else { continue };
            let stop = self.shared.leading.child_token();
            self.probes.insert(name.clone(), (generation, stop.clone()));
            let shared = self.shared.clone();
            self.shared.tasks.request("health", async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = probe::until_healthy(&shared, &target, generation) => stop.cancel(),
                }
                Ok::<(), Infallible>(())
            });
        }
    }
}

impl Shared {
    /// Runs something for as long as the leadership lasts.
    pub(crate) fn spawn(&self, name: &str, work: impl Future<Output = ()> + Send + 'static) {
        let leading = self.leading.clone();
        self.tasks.request(name, async move {
            tokio::select! {
                () = leading.cancelled() => {}
                () = work => {}
            }
            Ok::<(), Infallible>(())
        });
    }

    pub(crate) async fn send(&self, input: Input) {
        // The loop that would take it is gone only when the leadership is over.
        if self.inputs.send(input).await.is_err() {
            tracing::debug!("a report comes after the end of the leadership");
        }
    }

    pub(crate) async fn report(&self, report: AttemptReport) {
        self.send(Input::Attempt(report)).await;
    }
}

async fn send_orders(bus: Bus, mut waiting: mpsc::Receiver<Order>) {
    let nodes = bus.nodes();
    while let Some(order) = waiting.recv().await {
        if let Err(error) = nodes.order(&order).await {
            tracing::warn!(%error, order = %order.id, "an order was not given; the core repeats it in time");
        }
    }
}
