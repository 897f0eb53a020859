//! Models of services that the scheduler starts and stops: what they offer, and the seats that requests hold there.
//!
//! A service is only used while this proxy's use of it is stored in the scheduler's log: what the scheduler has stored, it
//! does not stop behind a request's back. One word to the broker stands for all requests of this proxy at a service, and
//! holds for a while, so a request to a service in use asks nobody.

mod follow;
mod say;
mod served;
mod stage;
#[cfg(test)]
mod tests;

pub(crate) use follow::follow_offers;
pub(crate) use say::Voice;
pub(crate) use served::{Served, Want, best};
pub(crate) use stage::Stage;
