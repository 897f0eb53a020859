//! What can happen to the cluster. Replaying these gives the same state.

use crate::{
    DeviceInfo, GpuId, Holder, JobEvent, JobId, JobSpec, NodeId, Policy, Service, ServiceName, Spot, StopReason,
};
use domain::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Something that happened, with its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Time,
    /// What.
    #[serde(flatten)]
    pub change: Change,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// The rules' numbers are these from now on.
    PolicySet {
        /// All of them.
        policy: Policy,
    },
    /// A service is registered, or its registration changed.
    ServiceRegistered {
        /// All of it.
        service: Box<Service>,
    },
    /// A registration is gone. Refused while jobs run on it.
    ServiceRemoved {
        /// Which.
        service: ServiceName,
    },
    /// A node is heard, for the first time or again, with all its GPUs and all of our containers that run on it.
    NodeSeen {
        /// Which.
        node: NodeId,
        /// Its GPUs.
        devices: Vec<DeviceInfo>,
        /// Running containers, with the generation they were started under.
        running: BTreeMap<ServiceName, u64>,
        /// It has GPUs that could not be read yet.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unread: bool,
    },
    /// A node is silent.
    NodeLost {
        /// Which.
        node: NodeId,
    },
    /// A GPU's memory was measured.
    DeviceMeasured {
        /// Which.
        device: GpuId,
        /// Used by anybody.
        used_mb: u64,
        /// Used by our containers, where it can be attributed.
        by_service: BTreeMap<ServiceName, u64>,
    },
    /// A start was decided. The memory counts from here on.
    StartRequested {
        /// Which.
        service: ServiceName,
        /// Where.
        spot: Spot,
        /// The number of this start.
        generation: u64,
    },
    /// A container runs that was taken to be stopped.
    ContainerFound {
        /// Which.
        service: ServiceName,
        /// Where.
        spot: Spot,
        /// The number that it is known by from now on.
        generation: u64,
        /// Whether it came of a start that was given up, so that it must stop; else a person started it.
        orphan: bool,
    },
    /// A container answers its health check.
    ContainerReady {
        /// Which.
        service: ServiceName,
        /// Which start of it.
        generation: u64,
    },
    /// A container runs but does not answer its health check.
    ContainerUnhealthy {
        /// Which.
        service: ServiceName,
        /// Which start of it.
        generation: u64,
    },
    /// A container takes no more jobs and stops after its last.
    DrainBegun {
        /// Which.
        service: ServiceName,
        /// Which start of it.
        generation: u64,
        /// Why.
        reason: StopReason,
    },
    /// A stop was decided.
    StopRequested {
        /// Which.
        service: ServiceName,
        /// Which start of it.
        generation: u64,
        /// Why.
        reason: StopReason,
    },
    /// A container is gone because it was told to.
    ContainerStopped {
        /// Which.
        service: ServiceName,
        /// Which start of it.
        generation: u64,
    },
    /// A container ended by itself, or could not be started.
    ContainerExited {
        /// Which.
        service: ServiceName,
        /// Which start of it.
        generation: u64,
        /// Why, for a person.
        error: String,
        /// Whether it was for want of GPU memory.
        out_of_memory: bool,
    },
    /// A person wants a service up.
    StartAsked {
        /// Which.
        service: ServiceName,
    },
    /// A person wants a service down.
    StopAsked {
        /// Which.
        service: ServiceName,
        /// Whether its jobs may end first.
        drain: bool,
    },
    /// The requests of a proxy want a service, or are at work on it.
    SeatTaken {
        /// Which service.
        service: ServiceName,
        /// Which proxy.
        holder: Holder,
        /// The most urgent of them.
        priority: i32,
        /// Whether some wait for the service.
        waiting: bool,
        /// Whether it works at some.
        running: bool,
    },
    /// A proxy has no more requests for a service, or is silent.
    SeatLeft {
        /// Which service.
        service: ServiceName,
        /// Which proxy.
        holder: Holder,
    },
    /// A job was accepted.
    JobSubmitted {
        /// All of it.
        spec: Box<JobSpec>,
    },
    /// Something happened to a job.
    Job {
        /// Which.
        job: JobId,
        /// What.
        what: JobEvent,
    },
    /// An ended job need not be remembered any more.
    JobForgotten {
        /// Which.
        job: JobId,
    },
}
