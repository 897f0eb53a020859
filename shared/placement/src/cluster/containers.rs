//! What events of containers leave behind.

use super::Cluster;
use crate::clock::{after, since_ms};
use crate::device::Hold;
use crate::policy::backoff_ms;
use crate::{Container, Refusal, Registered, ServiceName, Spot, State, StopReason};
use domain::Time;

impl Cluster {
    pub(super) fn start_requested(
        &mut self,
        name: &ServiceName,
        spot: &Spot,
        generation: u64,
        at: Time,
    ) -> Result<(), Refusal> {
        let next = self.next_generation;
        let registered = self.known(name)?;
        if !registered.container.is_stopped() || generation < next {
            return Err(Refusal::Stale { service: name.clone() });
        }
        registered.container.state = State::Starting { since: at };
        registered.container.owned = true;
        self.take(name, spot, generation);
        Ok(())
    }

    pub(super) fn container_found(
        &mut self,
        name: &ServiceName,
        spot: &Spot,
        generation: u64,
        orphan: bool,
        at: Time,
    ) -> Result<(), Refusal> {
        let next = self.next_generation;
        let registered = self.known(name)?;
        if !registered.container.is_stopped() || generation < next {
            return Err(Refusal::Stale { service: name.clone() });
        }
        registered.container.state = State::Unhealthy { since: at };
        registered.container.owned = orphan;
        let free = spot.devices.iter().filter_map(|id| self.devices.get(id));
        let free = free.map(|device| device.capacity_mb().saturating_sub(device.reserved_mb())).min();
        let vram_mb = spot.vram_mb.min(free.unwrap_or(0));
        self.take(name, &Spot { vram_mb, ..spot.clone() }, generation);
        if let Some(registered) = self.services.get_mut(name) {
            registered.container.tainted = orphan;
        }
        Ok(())
    }

    fn take(&mut self, name: &ServiceName, spot: &Spot, generation: u64) {
        self.next_generation = generation + 1;
        if let Some(registered) = self.services.get_mut(name) {
            registered.container.generation = generation;
            registered.container.spot = Some(spot.clone());
            registered.container.tainted = false;
            registered.container.asked = false;
            registered.container.idle_since = None;
        }
        for id in &spot.devices {
            if let Some(device) = self.devices.get_mut(id) {
                device.holders.insert(name.clone(), Hold { reserved_mb: spot.vram_mb, measured_mb: None });
            }
        }
    }

    pub(super) fn container_ready(&mut self, name: &ServiceName, generation: u64, at: Time) -> Result<(), Refusal> {
        let registered = self.current(name, generation)?;
        match registered.container.state {
            State::Starting { since } => registered.starts.record(since_ms(since, at)),
            State::Unhealthy { .. } => {}
            State::Stopped
            | State::Ready { .. }
            | State::Draining { .. }
            | State::Stopping { .. }
            | State::Lost { .. } => {
                return Err(Refusal::Stale { service: name.clone() });
            }
        }
        let started = matches!(registered.container.state, State::Starting { .. });
        registered.container.state = State::Ready { since: at };
        registered.container.failures = 0;
        registered.container.last_error = None;
        if registered.has_nothing_to_do() {
            registered.container.idle_since = Some(at);
        }
        if started {
            self.unsettle(name, at);
        }
        Ok(())
    }

    pub(super) fn container_unhealthy(&mut self, name: &ServiceName, generation: u64, at: Time) -> Result<(), Refusal> {
        let registered = self.current(name, generation)?;
        if !matches!(registered.container.state, State::Ready { .. }) {
            return Err(Refusal::Stale { service: name.clone() });
        }
        registered.container.state = State::Unhealthy { since: at };
        Ok(())
    }

    pub(super) fn drain(
        &mut self,
        name: &ServiceName,
        generation: u64,
        reason: &StopReason,
        at: Time,
    ) -> Result<(), Refusal> {
        let registered = self.current(name, generation)?;
        if !matches!(registered.container.state, State::Ready { .. } | State::Unhealthy { .. }) {
            return Err(Refusal::Stale { service: name.clone() });
        }
        registered.container.state = State::Draining { since: at, reason: reason.clone() };
        Ok(())
    }

    pub(super) fn stop_requested(
        &mut self,
        name: &ServiceName,
        generation: u64,
        reason: &StopReason,
        at: Time,
    ) -> Result<(), Refusal> {
        let container = &mut self.current(name, generation)?.container;
        let sent = if let State::Stopping { sent, .. } = container.state { sent + 1 } else { 1 };
        if matches!(container.state, State::Stopped | State::Lost { .. }) {
            return Err(Refusal::Stale { service: name.clone() });
        }
        container.state = State::Stopping { since: at, reason: reason.clone(), sent };
        Ok(())
    }

    pub(super) fn container_stopped(&mut self, name: &ServiceName, generation: u64, at: Time) -> Result<(), Refusal> {
        let policy = self.policy.clone();
        let registered = self.current(name, generation)?;
        if registered.container.is_stopped() {
            return Err(Refusal::Stale { service: name.clone() });
        }
        let timed_out = matches!(registered.container.state, State::Stopping { reason: StopReason::StartTimedOut, .. });
        if timed_out {
            failed_start(&mut registered.container, &policy, "it did not become healthy in time", at);
        } else {
            learn_run(registered);
        }
        self.gone(name, at);
        Ok(())
    }

    pub(super) fn container_exited(
        &mut self,
        name: &ServiceName,
        generation: u64,
        error: &str,
        out_of_memory: bool,
        at: Time,
    ) -> Result<(), Refusal> {
        let policy = self.policy.clone();
        let limit = self.largest_gpu_mb(name);
        let registered = self.current(name, generation)?;
        if registered.container.is_stopped() {
            return Err(Refusal::Stale { service: name.clone() });
        }
        let wanted_to = matches!(registered.container.state, State::Stopping { .. });
        if !wanted_to {
            failed_start(&mut registered.container, &policy, error, at);
        }
        if let (true, Some(spot)) = (out_of_memory, &registered.container.spot) {
            // What was set aside was too little, so the next start sets aside a quarter more, as far as any GPU has it.
            let more = spot.vram_mb.saturating_mul(5) / 4;
            let margin = 100 + policy.vram_margin_percent;
            let most = limit.saturating_mul(100) / margin;
            registered.learned.peak_mb = registered.learned.peak_mb.max(more.min(most));
        }
        self.gone(name, at);
        Ok(())
    }

    pub(super) fn start_asked(&mut self, name: &ServiceName) -> Result<(), Refusal> {
        let container = &mut self.known(name)?.container;
        if container.is_stopped() {
            container.asked = true;
            container.retry_at = None;
        }
        Ok(())
    }

    pub(super) fn stop_asked(&mut self, name: &ServiceName, drain: bool, at: Time) -> Result<(), Refusal> {
        let container = &mut self.known(name)?.container;
        container.asked = false;
        match container.state {
            State::Ready { .. } | State::Unhealthy { .. } | State::Draining { .. } if drain => {
                container.state = State::Draining { since: at, reason: StopReason::Asked };
            }
            State::Starting { .. } | State::Ready { .. } | State::Unhealthy { .. } | State::Draining { .. } => {
                container.state = State::Stopping { since: at, reason: StopReason::Asked, sent: 1 };
            }
            State::Stopped | State::Stopping { .. } | State::Lost { .. } => {}
        }
        Ok(())
    }

    /// The service, if the event is of its container's present start.
    fn current(&mut self, name: &ServiceName, generation: u64) -> Result<&mut Registered, Refusal> {
        let registered = self.known(name)?;
        if registered.container.generation != generation {
            return Err(Refusal::Stale { service: name.clone() });
        }
        Ok(registered)
    }

    /// The container holds nothing any more.
    pub(super) fn gone(&mut self, name: &ServiceName, at: Time) {
        self.unsettle(name, at);
        self.release(name);
        if let Some(registered) = self.services.get_mut(name) {
            let container = &mut registered.container;
            container.state = State::Stopped;
            container.tainted = false;
            container.idle_since = None;
            container.spot = None;
        }
    }

    /// Takes the container out of the ledgers of its GPUs.
    pub(super) fn release(&mut self, name: &ServiceName) {
        let spot = self.services.get(name).and_then(|registered| registered.container.spot.clone());
        for id in spot.iter().flat_map(|spot| &spot.devices) {
            if let Some(device) = self.devices.get_mut(id) {
                device.holders.remove(name);
            }
        }
    }

    /// Memory has just moved on the container's GPUs; a GPU that is never measured cannot be waited for.
    fn unsettle(&mut self, name: &ServiceName, at: Time) {
        let spot = self.services.get(name).and_then(|registered| registered.container.spot.clone());
        for id in spot.iter().flat_map(|spot| &spot.devices) {
            if let Some(device) = self.devices.get_mut(id)
                && device.measured.is_some()
            {
                device.settling_since = Some(at);
            }
        }
    }

    /// The most memory that one of the GPUs a service may use can ever give.
    pub(crate) fn largest_gpu_mb(&self, name: &ServiceName) -> u64 {
        let Some(registered) = self.services.get(name) else {
            return 0;
        };
        let eligible = self.devices.iter().filter(|(id, device)| registered.service.may_use(id, &device.node));
        eligible.map(|(_, device)| device.capacity_mb()).max().unwrap_or(0)
    }
}

fn failed_start(container: &mut Container, policy: &crate::Policy, error: &str, at: Time) {
    container.failures += 1;
    container.last_error = Some(error.to_owned());
    let wait = backoff_ms(policy.start_backoff_ms, policy.start_backoff_cap_ms, container.failures);
    container.retry_at = Some(after(at, wait));
}

/// A run of the container ended well: what was measured of it counts as one sample.
fn learn_run(registered: &mut Registered) {
    if registered.learned.peak_mb > 0 {
        registered.learned.samples = registered.learned.samples.saturating_add(1);
    }
}
