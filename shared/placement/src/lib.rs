//! Decides which job runs where, and which service starts, stops or makes way.
//!
//! Everything here is a function of its arguments: no clock, no randomness, no environment, nothing awaited.
//! [`Cluster`] is the state that a stream of [`Event`]s leaves. [`decide`] looks at all of it and answers with a
//! [`Plan`]; [`Engine`] keeps indexes beside it and decides the same from what one event touched.
//!
//! How it is driven, in this order, which is the whole argument:
//! 1. Replay the stream into a [`Cluster`], make an [`Engine`], perform what [`outstanding`] says is owed.
//! 2. For every message: [`Engine::on_event`]. For every due [`Engine::wake_at`]: [`Engine::on_time`].
//! 3. Append the event (if it was not refused) and then [`Action::change`] of every action, in order, fenced.
//! 4. Only then perform the actions. If the append was refused, throw the engine away and begin at 1.
//!
//! Times of events never go backwards in the stream, and an action's event carries the time of what led to it.
#![warn(clippy::iter_over_hash_type)]

mod action;
mod capacity;
mod clock;
mod cluster;
mod container;
mod decide;
mod device;
mod engine;
mod event;
mod explain;
mod ids;
mod job;
mod policy;
mod reason;
mod seat;
mod service;
pub mod sim;

pub use action::{Action, outstanding};
pub use cluster::Cluster;
pub use container::{Container, Spot, State, StopReason};
pub use decide::{Plan, decide};
pub use device::{Device, DeviceInfo, Hold, Measure, Node};
pub use engine::Engine;
pub use event::{Change, Event};
pub use ids::{GpuId, Holder, JobId, NodeId, Place, ServiceName, ServiceType};
pub use job::{Interrupt, Interruption, Job, JobEvent, JobSpec, JobStatus, Loss, Pause, Refusal, Run};
pub use policy::Policy;
pub use reason::{Condition, Estimate, Frees, Reason, RoomHolder, SlotHolder, Waiting};
pub use seat::{Seat, Wanted};
pub use service::{Learned, Registered, Service, Spans};
