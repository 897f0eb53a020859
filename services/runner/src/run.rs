//! Build and run: which tasks, of which kind.

use crate::config::Config;
use crate::crashes::Crashes;
use crate::drive::Served;
use crate::effects::ModelClient;
use crate::hold::{Held, while_holding};
use crate::locks::Locks;
use crate::performed::Performed;
use crate::sweep::Sweeps;
use crate::{RunnerError, metrics, router};
use bus::{Bus, Delivery};
use domain::Plane;
use jiff::tz::TimeZone;
use ledger::Ledger;
use service::Tasks;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use store::Values;
use store::bundles::Bundles;
use tokio::sync::Semaphore;
use tracing::Instrument;

/// How long a step is tried again under its doorbell while the broker is away.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a runner is made of.
pub struct Parts {
    /// The broker.
    pub bus: Bus,
    /// Installed bundles; somebody must keep them watched.
    pub bundles: Bundles,
    /// Settings.
    pub config: Config,
}

/// A runner: shared by all of its tasks.
pub(crate) struct Runner {
    pub(crate) bus: Bus,
    pub(crate) bundles: Bundles,
    pub(crate) values: Values,
    pub(crate) locks: Locks,
    pub(crate) performed: Performed,
    pub(crate) begun: Performed,
    pub(crate) held: Held,
    pub(crate) crashes: Crashes,
    pub(crate) sweeps: Sweeps,
    pub(crate) model: ModelClient,
    pub(crate) zone: TimeZone,
    pub(crate) config: Config,
    pub(crate) slow: Semaphore,
    name: String,
    writes: AtomicU64,
}

/// Spawns a runner's tasks.
pub fn spawn(parts: Parts, tasks: &Tasks) -> Result<(), RunnerError> {
    let Parts { bus, bundles, config } = parts;
    let runner = Arc::new(Runner {
        values: Values::new(&bus),
        locks: Locks::default(),
        performed: Performed::default(),
        begun: Performed::default(),
        held: Held::default(),
        crashes: Crashes::new(&bus),
        sweeps: Sweeps::new(bus.layout().shards),
        model: ModelClient::new(&config.model)?,
        zone: TimeZone::system(),
        slow: Semaphore::new(config.slow_effects),
        name: format!("{}-{}", std::process::id(), jiff::Timestamp::now().as_nanosecond()),
        writes: AtomicU64::new(0),
        bundles,
        config,
        bus: bus.clone(),
    });
    let permits = Arc::new(Semaphore::new(runner.config.concurrency));
    for shard in 0..bus.layout().shards {
        let (runner, permits, inner) = (runner.clone(), permits.clone(), tasks.clone());
        tasks.critical(format!("doorbells-{shard}"), async move {
            runner.ready().await;
            listen(runner, shard, permits, inner).await
        });
    }
    for shard in 0..bus.layout().shards {
        let (runner, stop) = (runner.clone(), tasks.stop_token());
        tasks.supervised(format!("inbox-sweep-{shard}"), move || {
            let (runner, stop) = (runner.clone(), stop.clone());
            async move {
                tokio::select! {
                    swept = runner.sweeps.sweep(&runner.bus, shard) => swept,
                    () = stop.cancelled() => Ok(()),
                }
            }
        });
    }
    let stop = tasks.stop_token();
    let plane = Plane::main();
    tasks.supervised("command-router", move || router::route(bus.clone(), plane.clone(), stop.clone()));
    Ok(())
}

/// Takes doorbells of a shard, as many at once as there are permits.
async fn listen(
    runner: Arc<Runner>,
    shard: u16,
    permits: Arc<Semaphore>,
    tasks: Tasks,
) -> Result<(), std::convert::Infallible> {
    let stop = tasks.stop_token();
    let shards = usize::from(runner.bus.layout().shards.max(1));
    let mut bells = runner.bus.doorbells(shard, (runner.config.concurrency * 2 / shards).max(8));
    loop {
        let bell = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            bell = bells.next() => bell,
        };
        // Only now: a shard with nothing to do must not sit on a permit that another could use.
        let permit = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            permit = while_holding(&bell, permits.clone().acquire_owned()) => permit,
        };
        let Ok(permit) = permit else { return Ok(()) };
        let (runner, inner) = (runner.clone(), tasks.clone());
        let span = tracing::info_span!("step", run_id = %bell.run, request_id = bell.trace.request_id.as_deref());
        telemetry::continue_from(&span, |name| bell.trace.traceparent.as_deref().filter(|_| name == "traceparent"));
        tasks.request("step", async move {
            runner.answer(bell, inner, permit).instrument(span).await;
            Ok::<(), RunnerError>(())
        });
    }
}

impl Runner {
    /// No doorbell is taken before the installed bundles are known: a child of an unknown workflow would fail.
    async fn ready(&self) {
        self.bundles.ready().await;
    }

    async fn answer(self: Arc<Self>, bell: Delivery, tasks: Tasks, permit: tokio::sync::OwnedSemaphorePermit) {
        let began = Instant::now();
        match while_holding(&bell, Box::pin(self.serve_patiently(&bell))).await {
            Ok(Served::Done) => {
                self.done(&bell).await;
                ::metrics::histogram!(metrics::STEP_SECONDS).record(began.elapsed().as_secs_f64());
            }
            Ok(Served::Held) => {}
            Ok(Served::Slow(begun)) => {
                drop(permit);
                self.perform_slow(bell, *begun, &tasks);
            }
            Err(error) => {
                tracing::warn!(%error, run_id = %bell.run, "a step could not be taken; the doorbell rings again");
                bell.again_in(Duration::from_secs(1)).await;
            }
        }
    }

    /// A passing fault is waited out here, so that a doorbell's deliveries count deaths of runners and nothing else.
    async fn serve_patiently(&self, bell: &Delivery) -> Result<Served, RunnerError> {
        let until = Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(20);
        loop {
            match self.serve_counted(bell).await {
                Err(error) if error.is_transient() && Instant::now() < until => {
                    tracing::debug!(%error, "the step is tried again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
                served => return served,
            }
        }
    }

    /// Leaves a trace while a suspicious doorbell is served, which only a death of this process leaves behind.
    async fn serve_counted(&self, bell: &Delivery) -> Result<Served, RunnerError> {
        if !Crashes::suspects(bell) {
            return Box::pin(self.serve(bell, None)).await;
        }
        let poison = Box::pin(self.crashes.enter(bell)).await?;
        let served = Box::pin(self.serve(bell, poison)).await;
        Box::pin(self.crashes.leave(bell)).await;
        served
    }

    /// A doorbell that need not ring again.
    pub(crate) async fn done(&self, bell: &Delivery) {
        bell.ack().await;
        self.sweeps.acknowledged(self.bus.journal(&bell.plane).shard(&bell.run));
    }

    pub(crate) fn ledger(&self, plane: &Plane) -> Ledger {
        Ledger::new(&self.bus, plane)
    }

    /// A name that no other write of any runner has.
    pub(crate) fn next_writer(&self) -> String {
        format!("{}-{}", self.name, self.writes.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether a write is this process's own.
    pub(crate) fn wrote(&self, writer: &str) -> bool {
        writer.rsplit_once('-').is_some_and(|(name, _)| name == self.name)
    }
}
