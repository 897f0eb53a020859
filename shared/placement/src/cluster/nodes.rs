//! What events of nodes and GPUs leave behind.

use super::Cluster;
use crate::device::Measure;
use crate::{DeviceInfo, GpuId, Node, NodeId, Refusal, Service, ServiceName, State};
use domain::Time;
use std::collections::BTreeMap;

/// How the name of a node begins that is no host but stands for services which run elsewhere. No host has such a name.
const NO_HOST: char = '(';

impl Cluster {
    pub(super) fn node_seen(
        &mut self,
        node: &NodeId,
        devices: &[DeviceInfo],
        running: &BTreeMap<ServiceName, u64>,
        unread: bool,
        at: Time,
    ) {
        for info in devices {
            self.update_device(node, info);
        }
        let ids = devices.iter().map(|info| info.id.clone()).collect();
        self.nodes.insert(node.clone(), Node { devices: ids, unread, lost_since: None });
        for name in self.containers_on(node) {
            let Some(registered) = self.services.get(&name) else {
                continue;
            };
            let generation = registered.container.generation;
            if running.get(&name) == Some(&generation) {
                self.found_again(&name, at);
            } else if !matches!(registered.container.state, State::Starting { .. }) {
                // A start may still be on its way to the node; any other container that does not run is gone.
                self.gone(&name, at);
            }
        }
    }

    /// A container that was out of sight still runs; its health has to be seen anew.
    fn found_again(&mut self, name: &ServiceName, at: Time) {
        if let Some(registered) = self.services.get_mut(name)
            && matches!(registered.container.state, State::Lost { .. })
        {
            registered.container.state = State::Unhealthy { since: at };
        }
    }

    pub(super) fn node_lost(&mut self, node: &NodeId, at: Time) -> Result<(), Refusal> {
        let known = self.nodes.get_mut(node).ok_or_else(|| Refusal::Unknown { name: node.to_string() })?;
        if known.lost_since.is_none() {
            known.lost_since = Some(at);
        }
        for name in self.containers_on(node) {
            if let Some(registered) = self.services.get_mut(&name) {
                registered.container.state = State::Lost { since: at };
            }
        }
        Ok(())
    }

    pub(super) fn device_measured(
        &mut self,
        id: &GpuId,
        used_mb: u64,
        by_service: &BTreeMap<ServiceName, u64>,
        at: Time,
    ) -> Result<(), Refusal> {
        let quiet_mb = self.policy.quiet_mb;
        let device = self.devices.get_mut(id).ok_or_else(|| Refusal::Unknown { name: id.to_string() })?;
        let before = device.measured.replace(Measure { used_mb, at });
        if let (Some(since), Some(before)) = (device.settling_since, before)
            && before.at >= since
            && before.used_mb.abs_diff(used_mb) <= quiet_mb
        {
            device.settling_since = None;
        }
        for (name, mb) in by_service {
            let Some(hold) = device.holders.get_mut(name) else {
                continue;
            };
            hold.measured_mb = Some(*mb);
            if let Some(registered) = self.services.get_mut(name) {
                registered.learned.peak_mb = registered.learned.peak_mb.max(*mb);
            }
        }
        Ok(())
    }

    /// The services whose container is on a node, as far as known.
    pub(crate) fn containers_on(&self, node: &NodeId) -> Vec<ServiceName> {
        let on = |spot: &crate::Spot| spot.node == *node;
        let here = self.services.iter().filter(|(_, known)| known.container.spot.as_ref().is_some_and(on));
        here.map(|(name, _)| name.clone()).collect()
    }
}

impl Service {
    /// Whether it may use a GPU of a node.
    pub fn may_use(&self, device: &GpuId, node: &NodeId) -> bool {
        self.may_be_on(node) && (self.devices.is_empty() || self.devices.contains(device))
    }

    /// Whether its container may be on a node. What is no host is there only for services that name it.
    pub fn may_be_on(&self, node: &NodeId) -> bool {
        if self.nodes.is_empty() { !node.as_str().starts_with(NO_HOST) } else { self.nodes.contains(node) }
    }
}
