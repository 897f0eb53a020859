//! What is really there: containers, the memory they take and the attempts inside them, whatever anybody believes.

use super::load::Truth;
use crate::{GpuId, JobId, NodeId, ServiceName, Spot};
use std::collections::{BTreeMap, BTreeSet};

/// An attempt inside a container.
pub(crate) type Attempt = (JobId, u32);

/// A container that exists.
#[derive(Clone, Debug)]
pub(crate) struct RealContainer {
    pub(crate) spot: Spot,
    pub(crate) generation: u64,
    pub(crate) real_mb: u64,
    pub(crate) healthy: bool,
    /// Attempts with the time they began.
    pub(crate) attempts: BTreeMap<Attempt, i64>,
    /// Attempts it was told to let go of and keeps.
    pub(crate) stubborn: BTreeSet<Attempt>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Reality {
    pub(crate) containers: BTreeMap<ServiceName, RealContainer>,
    pub(crate) agents_down: BTreeSet<NodeId>,
    /// The newest start of each service that its agent was told to stop; an agent that crashes forgets.
    pub(crate) told_to_stop: BTreeMap<ServiceName, u64>,
    /// Results that services hold ready to be asked for.
    pub(crate) ended: BTreeSet<Attempt>,
}

impl Reality {
    pub(crate) fn used_mb(&self, device: &GpuId) -> u64 {
        let here = self.containers.values().filter(|container| container.spot.devices.contains(device));
        here.map(|container| container.real_mb).sum()
    }

    pub(crate) fn by_service(&self, device: &GpuId) -> BTreeMap<ServiceName, u64> {
        let here = self.containers.iter().filter(|(_, container)| container.spot.devices.contains(device));
        here.map(|(name, container)| (name.clone(), container.real_mb)).collect()
    }

    /// Whether a container could be made. An earlier one of the service goes; making one twice makes one.
    pub(crate) fn make(&mut self, truth: &Truth, spot: &Spot, generation: u64, gpu_mb: u64) -> bool {
        let name = &truth.service.name;
        match self.containers.get(name) {
            Some(there) if there.generation == generation => return true,
            Some(_) => {
                self.containers.remove(name);
            }
            None => {}
        }
        if spot.devices.iter().any(|device| self.used_mb(device) + truth.real_mb > gpu_mb) {
            return false;
        }
        self.containers.insert(
            name.clone(),
            RealContainer {
                spot: spot.clone(),
                generation,
                real_mb: truth.real_mb,
                healthy: false,
                attempts: BTreeMap::new(),
                stubborn: BTreeSet::new(),
            },
        );
        true
    }

    pub(crate) fn current(&mut self, service: &ServiceName, generation: u64) -> Option<&mut RealContainer> {
        self.containers.get_mut(service).filter(|container| container.generation == generation)
    }

    /// Containers of a node with their generations, as its agent lists them.
    pub(crate) fn listed(&self, node: &NodeId) -> BTreeMap<ServiceName, u64> {
        let here = self.containers.iter().filter(|(_, container)| container.spot.node == *node);
        here.map(|(name, container)| (name.clone(), container.generation)).collect()
    }

    /// More attempts really at work than slots: the one thing that fencing alone cannot mend.
    pub(crate) fn doubled(&self, limit: u32) -> Option<String> {
        let full = self.containers.iter().find(|(_, container)| container.attempts.len() > limit as usize);
        full.map(|(name, container)| format!("{name} works at {:?} in {limit} slots", container.attempts.keys()))
    }
}
