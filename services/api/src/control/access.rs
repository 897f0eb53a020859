//! How the routes reach the scheduler, and what they say when none answers.

use crate::input::{Input, trace};
use crate::{Api, ApiError};
use bus::BusError;
use bus::control::Control;
use domain::control::{Answer, Order, ServiceName, ServiceView};

impl Api {
    /// The control plane.
    pub(super) fn control(&self) -> Control {
        self.parts.bus.control()
    }

    /// A service that has to be there.
    pub(super) async fn known_service(&self, name: &str, probe: bool) -> Result<ServiceView, ApiError> {
        let found = self.control().service(&ServiceName::from(name), probe, self.config.scheduler_patience).await;
        found.map_err(|error| unanswered(&error))?.ok_or_else(|| no_service(name))
    }

    /// Gives an order and waits for what becomes of it.
    pub(super) async fn order(&self, order: Order, input: &Input) -> Result<Answer, ApiError> {
        let within = self.config.scheduler_patience;
        let answered = self.control().order(order, crate::api::now(), None, within, &trace(input)).await;
        answered.map_err(|error| if error.is_transient() { self.unheard(&error) } else { error.into() })
    }

    /// An order without an answer is stored, unless the broker is away.
    fn unheard(&self, error: &BusError) -> ApiError {
        if !self.parts.bus.is_connected() {
            return unanswered(error);
        }
        tracing::warn!(%error, "an order waits for a scheduler");
        ApiError::unavailable(
            "no scheduler answers; the order is stored and is carried out once one leads. \
             Start one with `gantry up` or `gantry scheduler`",
        )
    }
}

/// A question that nobody answered.
pub(super) fn unanswered(error: &BusError) -> ApiError {
    if !error.is_transient() {
        return error.clone().into();
    }
    tracing::warn!(%error, "a question to the scheduler was not answered");
    ApiError::unavailable(format!(
        "no scheduler answers ({error}); start one with `gantry up` or `gantry scheduler`, then try again"
    ))
}

/// The 404 of a service.
pub(super) fn no_service(name: &str) -> ApiError {
    ApiError::not_found(format!("Unknown service: {name}"))
}

/// The 404 of a job.
pub(super) fn no_job(id: &str) -> ApiError {
    ApiError::not_found(format!("Job not found: {id}"))
}

/// The scheduler answered an order with something that does not belong to it.
pub(super) fn unexpected(answer: &Answer) -> ApiError {
    tracing::error!(?answer, "the scheduler's answer does not fit the order; this is a defect of the gateway");
    ApiError::refused(http::StatusCode::INTERNAL_SERVER_ERROR, "the scheduler's answer does not fit the order")
}
