//! The names of the wire and of the placement core are different types; here they become each other.

use domain::control;

pub(crate) type Job = placement::JobId;
pub(crate) type Service = placement::ServiceName;

/// A name of the one kind as a name of the other.
pub(crate) trait As<T> {
    /// It.
    fn cast(&self) -> T;
}

impl As<Job> for control::JobId {
    fn cast(&self) -> Job {
        Job::new(self.as_str())
    }
}

impl As<control::JobId> for Job {
    fn cast(&self) -> control::JobId {
        control::JobId::new(self.as_str())
    }
}

impl As<Service> for control::ServiceName {
    fn cast(&self) -> Service {
        Service::new(self.as_str())
    }
}

impl As<control::ServiceName> for Service {
    fn cast(&self) -> control::ServiceName {
        control::ServiceName::new(self.as_str())
    }
}

impl As<placement::ServiceType> for control::ServiceType {
    fn cast(&self) -> placement::ServiceType {
        placement::ServiceType::new(self.as_str())
    }
}

impl As<control::ServiceType> for placement::ServiceType {
    fn cast(&self) -> control::ServiceType {
        control::ServiceType::new(self.as_str())
    }
}
