//! What GPU hosts report, as events of the cluster. Only what differs from what is known becomes one.

use super::Desk;
use crate::board::EXTERNAL_NODE;
use crate::names;
use bus::NodeUpdate;
use domain::nodes::{
    ContainerEvent, ContainerReport, ContainerState, Devices, EngineReport, FailureKind, NodeEvent, NodeReport,
    OperationEvent, Outcome, Owner, Phase, What,
};
use placement::{Change, Container, Device, DeviceInfo, GpuId, NodeId, Spot, State};
use std::collections::BTreeMap;

/// A smaller change of used memory is not worth an entry, unless the GPU is waited for to become quiet.
const WORTH_TELLING_MB: u64 = 16;
/// A container that became ready this short a while ago may be missing in a report that was made before.
const TRUSTED_AFTER_MICROS: i64 = 5_000_000;

impl Desk {
    /// Takes in what is heard of a node.
    pub(crate) fn node(&mut self, update: NodeUpdate) {
        match update {
            NodeUpdate::Report(report) => self.node_report(&report),
            NodeUpdate::Silent { node } => {
                let node = NodeId::from(node.as_str());
                if self.board.cluster().nodes.get(&node).is_some_and(|known| known.lost_since.is_none()) {
                    self.happened(Change::NodeLost { node });
                }
            }
        }
    }

    fn node_report(&mut self, report: &NodeReport) {
        let node = NodeId::from(report.node.as_str());
        let devices = self.devices_of(&node, report);
        let because = match &report.devices {
            Devices::Failing { because, .. } if devices.is_empty() => Some(because),
            Devices::Failing { .. } | Devices::Seen { .. } | Devices::Absent { .. } => None,
        };
        let (running, unread) = (self.running_on(&node, &report.engine), because.is_some());
        if self.is_news(&node, &devices, &running, unread) {
            if let Some(because) = because {
                tracing::warn!(%node, because, "a node's GPUs cannot be read; until then only services without a GPU start there");
            }
            self.happened(Change::NodeSeen { node: node.clone(), devices, running, unread });
        }
        for container in report.engine.containers().iter().filter(|container| container.state.is_up()) {
            self.found(&node, container);
        }
        self.measure(&node, report);
    }

    /// The node's GPUs. While they cannot be read they are those that are known. A node of which none was ever read has
    /// none yet, and is known for that, so that jobs wait for them instead of failing for want of a GPU.
    fn devices_of(&self, id: &NodeId, report: &NodeReport) -> Vec<DeviceInfo> {
        let info = |(id, device): (&GpuId, &Device)| DeviceInfo {
            id: id.clone(),
            total_mb: device.total_mb,
            reserve_mb: device.reserve_mb,
        };
        match report.devices {
            Devices::Seen { .. } | Devices::Absent { .. } => read_devices(report),
            Devices::Failing { .. } => {
                let cluster = self.board.cluster();
                let known = cluster.nodes.get(id).into_iter().flat_map(|node| &node.devices);
                known.filter_map(|id| Some((id, cluster.devices.get(id)?))).map(info).collect()
            }
        }
    }

    /// Our containers that run on the node, under the number that each is known by.
    fn running_on(&self, node: &NodeId, engine: &EngineReport) -> BTreeMap<names::Service, u64> {
        let up: BTreeMap<&str, &ContainerReport> = engine
            .containers()
            .iter()
            .filter(|container| container.state.is_up())
            .map(|container| (container.name.as_str(), container))
            .collect();
        let silent = matches!(engine, EngineReport::Down { .. });
        let here = self.containers_on(node);
        here.filter(|(name, container)| {
            let just_ready = match container.state {
                State::Ready { since } => self.now.as_micros() - since.as_micros() < TRUSTED_AFTER_MICROS,
                State::Stopped
                | State::Starting { .. }
                | State::Unhealthy { .. }
                | State::Draining { .. }
                | State::Stopping { .. }
                | State::Lost { .. } => false,
            };
            let reported = self.container_name(name).and_then(|name| up.get(name));
            let same = reported.is_some_and(|there| self.is_known_start(there, container));
            silent || just_ready || same
        })
        .map(|(name, container)| (name.clone(), container.generation))
        .collect()
    }

    /// Whether a running container is the start that the cluster knows, or one that it has taken over as it found it.
    fn is_known_start(&self, there: &ContainerReport, container: &Container) -> bool {
        there
            .generation
            .is_none_or(|generation| generation == container.generation || !container.owned || container.tainted)
    }

    fn containers_on<'a>(&'a self, node: &'a NodeId) -> impl Iterator<Item = (&'a names::Service, &'a Container)> + 'a {
        let services = self.board.cluster().services.iter().map(|(name, known)| (name, &known.container));
        services.filter(move |(_, container)| container.spot.as_ref().is_some_and(|spot| spot.node == *node))
    }

    fn container_name(&self, service: &names::Service) -> Option<&str> {
        self.board.particulars.services.get(service)?.container.as_deref()
    }

    fn is_news(
        &self,
        id: &NodeId,
        devices: &[DeviceInfo],
        running: &BTreeMap<names::Service, u64>,
        unread: bool,
    ) -> bool {
        let cluster = self.board.cluster();
        let Some(node) = cluster.nodes.get(id) else { return true };
        let same_device = |info: &DeviceInfo| {
            cluster.devices.get(&info.id).is_some_and(|device| {
                device.node == *id && device.total_mb == info.total_mb && device.reserve_mb == info.reserve_mb
            })
        };
        let ids: Vec<&GpuId> = devices.iter().map(|info| &info.id).collect();
        let gone = |container: &Container| !matches!(container.state, State::Starting { .. });
        node.lost_since.is_some()
            || node.unread != unread
            || node.devices.iter().collect::<Vec<_>>() != ids
            || !devices.iter().all(same_device)
            || self.containers_on(id).any(|(name, container)| gone(container) && !running.contains_key(name))
    }

    /// A container runs whose service is taken to be stopped: a person started it, or it came of a start given up.
    fn found(&mut self, node: &NodeId, there: &ContainerReport) {
        let stopped = |name: &names::Service| {
            self.board
                .cluster()
                .services
                .get(name)
                .is_some_and(|known| known.container.is_stopped() && known.service.may_be_on(node))
        };
        let owner = self.board.particulars.services.iter();
        let owner = owner.filter(|(_, record)| record.container.as_deref() == Some(there.name.as_str()));
        let Some((name, _)) = owner.into_iter().find(|(name, _)| stopped(name)) else { return };
        let name = name.clone();
        // A service that shares its container with one that was started is up with it and holds nothing of its own.
        let sibling = there.generation.is_some()
            && self.containers_on(node).any(|(other, container)| {
                *other != name
                    && Some(container.generation) == there.generation
                    && self.container_name(other) == Some(there.name.as_str())
            });
        let orphan = there.generation.is_some() && !sibling;
        let known = self.board.cluster().services.get(&name);
        let gpus = known.map_or(0, |known| usize::from(known.service.gpus));
        let devices = self.board.cluster().nodes.get(node).map(|node| node.devices.clone()).unwrap_or_default();
        let devices = if sibling { Vec::new() } else { devices.into_iter().take(gpus).collect() };
        let vram_mb = known.map_or(0, |known| known.need_mb(&self.board.cluster().policy));
        let generation = self.board.cluster().next_generation.max(1);
        let spot = Spot { node: node.clone(), devices, vram_mb };
        self.happened(Change::ContainerFound { service: name, spot, generation, orphan });
    }

    fn measure(&mut self, node: &NodeId, report: &NodeReport) {
        for device in report.devices.seen() {
            let Some(used_mb) = device.memory.used_mb.value().copied() else { continue };
            let mut by_container: BTreeMap<&str, u64> = BTreeMap::new();
            for process in device.processes.value().into_iter().flatten() {
                let owner = process.owner.value();
                if let (Some(Owner::Container { name: Some(name), .. }), Some(mb)) = (owner, process.memory_mb.value())
                {
                    *by_container.entry(name.as_str()).or_default() += mb;
                }
            }
            let by_service: BTreeMap<names::Service, u64> = self
                .containers_on(node)
                .filter_map(|(name, _)| Some((name.clone(), *by_container.get(self.container_name(name)?)?)))
                .collect();
            let id = GpuId::from(device.id.as_str());
            if self.is_worth_telling(&id, used_mb, &by_service) {
                self.happened(Change::DeviceMeasured { device: id, used_mb, by_service });
            }
        }
    }

    fn is_worth_telling(&self, id: &GpuId, used_mb: u64, by_service: &BTreeMap<names::Service, u64>) -> bool {
        let Some(device) = self.board.cluster().devices.get(id) else { return false };
        let moved = |before: u64, now: u64| before.abs_diff(now) >= WORTH_TELLING_MB;
        let held = |name: &names::Service| device.holders.get(name).and_then(|hold| hold.measured_mb);
        device.settling_since.is_some()
            || device.measured.as_ref().is_none_or(|measure| moved(measure.used_mb, used_mb))
            || by_service.iter().any(|(name, mb)| held(name).is_none_or(|before| moved(before, *mb)))
    }

    /// Takes in an event of a node. Its position is remembered, so that none is missed over a takeover.
    pub(crate) fn node_event(&mut self, sequence: u64, event: &NodeEvent) {
        if sequence <= self.board.particulars.node_cursor {
            return;
        }
        self.board.particulars.node_cursor = sequence;
        let node = NodeId::from(event.node.as_str());
        match &event.what {
            What::Operation(operation) => self.operation(&node, operation),
            What::Container(changed) => self.container_changed(&node, changed),
        }
    }

    fn operation(&mut self, node: &NodeId, operation: &OperationEvent) {
        let (Some(generation), Phase::Ended { result }) = (operation.generation, &operation.phase) else { return };
        let here = self.containers_on(node);
        let ours = here.filter(|(_, container)| container.generation == generation);
        let ours: Vec<names::Service> = ours.map(|(name, _)| name.clone()).collect();
        for service in ours {
            match (operation.verb.as_str(), result) {
                ("start" | "restart", Outcome::Failed { failure }) if failure.kind != FailureKind::Superseded => {
                    let error = failure.text.clone();
                    self.happened(Change::ContainerExited { service, generation, error, out_of_memory: false });
                }
                ("stop", Outcome::Done { .. }) => {
                    self.happened(Change::ContainerStopped { service, generation });
                }
                ("stop", Outcome::Failed { failure }) if failure.kind == FailureKind::ContainerNotFound => {
                    self.happened(Change::ContainerStopped { service, generation });
                }
                (verb, Outcome::Failed { failure }) => {
                    tracing::warn!(%service, verb, error = failure.text, "an order to a node failed");
                }
                (_, Outcome::Done { .. }) => {}
            }
        }
    }

    fn container_changed(&mut self, node: &NodeId, changed: &ContainerEvent) {
        let there = &changed.container;
        if there.state.is_up() {
            return self.found(node, there);
        }
        let here = self.containers_on(node).filter(|(name, container)| {
            self.container_name(name) == Some(there.name.as_str()) && self.is_known_start(there, container)
        });
        let ours: Vec<(names::Service, u64, bool)> = here
            .map(|(name, container)| {
                (name.clone(), container.generation, matches!(container.state, State::Stopping { .. }))
            })
            .collect();
        for (service, generation, told_to) in ours {
            let (error, out_of_memory) = match &there.state {
                ContainerState::Exited { code, out_of_memory, .. } => {
                    (format!("its container exited with code {code}"), *out_of_memory)
                }
                ContainerState::Removed => ("its container was removed".to_owned(), false),
                // Made but never run: nothing has ended.
                ContainerState::Created
                | ContainerState::Running { .. }
                | ContainerState::Paused
                | ContainerState::Restarting => continue,
            };
            self.happened(if told_to {
                Change::ContainerStopped { service, generation }
            } else {
                Change::ContainerExited { service, generation, error, out_of_memory }
            });
        }
    }
}

/// The node's GPUs whose memory is known: without it nothing can be admitted.
fn read_devices(report: &NodeReport) -> Vec<DeviceInfo> {
    debug_assert!(report.node.as_str() != EXTERNAL_NODE, "no agent can have that name");
    let devices = report.devices.seen().iter();
    devices
        .filter_map(|device| {
            let total_mb = *device.memory.total_mb.value()?;
            Some(DeviceInfo { id: GpuId::from(device.id.as_str()), total_mb, reserve_mb: device.reserve_mb })
        })
        .collect()
}
