//! What the node says of itself: read at a bounded rate, sent when something changed and as a sign of life.

use crate::containers::{Engine, Seen};
use crate::devices::{Chooser, Describer, Look, System};
use crate::memory::Memories;
use crate::rules::is_worth_telling;
use crate::{clock, metrics};
use bus::{Bus, Nodes};
use domain::nodes::{Devices, EngineReport, NodeId, NodeReport};
use service::Check;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Two reports are at least this far apart.
const APART: Duration = Duration::from_millis(200);
/// How often GPUs are read while memory is being taken or given back.
const CLOSE: Duration = Duration::from_millis(250);
/// How long after a container changed its memory is followed closely.
const SETTLING: Duration = Duration::from_secs(5);

/// Makes and sends the reports.
pub(crate) struct Reporter {
    pub(crate) node: NodeId,
    pub(crate) instance: String,
    pub(crate) nodes: Nodes,
    pub(crate) engine: Arc<Engine>,
    pub(crate) memories: Arc<Memories>,
    pub(crate) chooser: Chooser,
    pub(crate) describer: Describer,
    pub(crate) interval: Duration,
    pub(crate) check: Check,
    pub(crate) connects: watch::Receiver<u64>,
}

/// When the reporter acts next, and what it knows.
struct State {
    began: Instant,
    look: Look,
    next_look: Instant,
    looked: Instant,
    settled: Instant,
    sent: Option<(NodeReport, Instant)>,
    number: u64,
    pending: bool,
}

impl Reporter {
    /// Reports until it is told to stop.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), std::convert::Infallible> {
        let mut seen = self.engine.watch();
        // Nothing is said before the first look: a host without GPUs is one that no job can wait for.
        let (look, next_look) = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            looked = self.chooser.look(self.interval) => looked,
        };
        let now = Instant::now();
        let mut state =
            State { began: now, look, next_look, looked: now, settled: now, sent: None, number: 0, pending: true };
        loop {
            let next_send = self.next_send(&state);
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = sleep_until(state.next_look) => self.look(&mut state).await,
                () = sleep_until(next_send) => {}
                changed = seen.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    self.follow_closely(&mut state);
                }
                changed = self.connects.changed() => {
                    // The broker may have lost every report: reports lie in its memory.
                    state.sent = None;
                    if changed.is_err() {
                        return Ok(());
                    }
                }
            }
            state.pending = true;
            if Instant::now() >= self.next_send(&state) {
                self.report(&mut state, &seen).await;
            }
        }
    }

    /// A report that is due is sent as soon as the last one is long enough ago, a sign of life when it is time.
    fn next_send(&self, state: &State) -> Instant {
        match &state.sent {
            None => state.began,
            Some((_, at)) if state.pending => *at + APART,
            Some((_, at)) => *at + Bus::NODE_HEARTBEAT,
        }
    }

    async fn look(&mut self, state: &mut State) {
        let began = Instant::now();
        let close = began < state.settled;
        let wanted = if close { CLOSE.min(self.interval) } else { self.interval };
        let (look, next) = self.chooser.look(wanted).await;
        let (source, outcome) = match &look {
            Look::Seen { source, .. } => (source.as_str(), "seen"),
            Look::Absent { .. } => ("none", "absent"),
            Look::Failing { source, .. } => (source.as_str(), "failing"),
        };
        ::metrics::counter!(metrics::READINGS, "source" => source, "outcome" => outcome).increment(1);
        ::metrics::histogram!(metrics::READING_SECONDS).record(began.elapsed().as_secs_f64());
        if let (Look::Failing { because, .. }, Look::Seen { .. } | Look::Absent { .. }) = (&look, &state.look) {
            tracing::warn!(because, "the GPUs cannot be read");
        }
        (state.look, state.next_look, state.looked) = (look, next, Instant::now());
    }

    /// A container changed, and its memory will.
    fn follow_closely(&self, state: &mut State) {
        let now = Instant::now();
        state.settled = now + SETTLING;
        if matches!(state.look, Look::Seen { .. }) {
            state.next_look = state.next_look.min(now + CLOSE.max(self.chooser.least_interval()));
        }
    }

    async fn report(&mut self, state: &mut State, seen: &watch::Receiver<Seen>) {
        state.pending = false;
        let now_seen = seen.borrow().clone();
        let Some(mut report) = self.compose(state, &now_seen).await else { return };
        // Memory that does not move is what others wait for after a container has changed, so then each reading is told.
        let awaited = |at: Instant| state.looked > at && Instant::now() < state.settled;
        let due = state.sent.as_ref().is_none_or(|(last, at)| {
            is_worth_telling(last, &report) || awaited(*at) || at.elapsed() >= Bus::NODE_HEARTBEAT
        });
        if !due {
            return;
        }
        report.number = state.number + 1;
        match self.nodes.report(&report).await {
            Ok(()) => {
                gauges(&report);
                self.check.well();
                state.number = report.number;
                state.sent = Some((report, Instant::now()));
            }
            Err(error) => {
                self.check.failing(format!("the node's report was not stored: {error}"));
                // Its outcome may be unknown, so the number is not used again.
                state.number += 1;
                tokio::time::sleep(APART).await;
            }
        }
    }

    async fn compose(&self, state: &State, seen: &Seen) -> Option<NodeReport> {
        let host = System::read(&self.describer.proc);
        let devices = match &state.look {
            Look::Absent { because } => Devices::Absent { because: because.clone() },
            Look::Failing { source, because } => Devices::Failing { source: *source, because: because.clone() },
            Look::Seen { source, sample } => {
                let system = sample.system.as_ref().unwrap_or(&host);
                let name_of = |id: &str| seen.name_of(id);
                let describe = |raw: &_| self.describer.describe(Clone::clone(raw), system, &name_of);
                Devices::Seen { source: *source, devices: sample.devices.iter().map(describe).collect() }
            }
        };
        let mut engine = seen.report();
        if let EngineReport::Up { containers, .. } = &mut engine {
            for container in containers {
                match self.memories.complete(container.clone()).await {
                    Ok(complete) => *container = complete,
                    Err(error) => {
                        self.check.failing(format!("the node's events cannot be read: {error}"));
                        tokio::time::sleep(APART).await;
                        return None;
                    }
                }
            }
        }
        Some(NodeReport {
            node: self.node.clone(),
            instance: self.instance.clone(),
            number: 0,
            at: clock::now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            devices,
            engine,
            system_total_mb: host.total_mb,
            system_available_mb: host.available_mb,
        })
    }
}

fn gauges(report: &NodeReport) {
    ::metrics::counter!(metrics::REPORTS).increment(1);
    let up = matches!(report.engine, EngineReport::Up { .. });
    ::metrics::gauge!(metrics::ENGINE_UP).set(if up { 1.0 } else { 0.0 });
    for device in report.devices.seen() {
        for (state, reading) in [("total", &device.memory.total_mb), ("used", &device.memory.used_mb)] {
            if let Some(mb) = reading.value().and_then(|mb| u32::try_from(*mb).ok()) {
                ::metrics::gauge!(metrics::MEMORY_MB, "gpu" => device.id.clone(), "state" => state).set(f64::from(mb));
            }
        }
    }
}
