//! The GPU control plane over HTTP, at the root: health, GPUs, services, the queue, preemption and availability.
//!
//! What is submitted or ordered is stored on the bus before it is answered, so it survives whoever dies; what is shown is
//! asked of the leading scheduler. Without one, reads answer 503 and submissions are accepted all the same. Shapes and
//! texts are the contract's; keys are only added.

mod access;
mod address;
mod availability;
mod batch;
mod definition;
mod events;
mod fields;
mod gpu;
mod jobs;
mod lifecycle;
mod listing;
mod preempt;
mod progress;
mod refusal;
mod register;
mod registry;
mod request;
mod shapes;
mod submit;
mod table;
mod telemetry;
mod told;
mod view;

pub(crate) use shapes::SHAPES;
pub(crate) use table::operations;
pub(crate) use told::TOLD;
