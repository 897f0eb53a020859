//! Orders about services.

use super::orders::refused;
use super::{Desk, Effect};
use crate::address;
use crate::board::{EXTERNAL_NODE, placement_service};
use crate::names::{self, As};
use crate::step::Entry;
use domain::control::{Answer, Refused, RefusedKind, ServiceChange, ServiceName, ServiceRecord};
use placement::{Action, Change, NodeId, Refusal, State, StopReason};
use serde_json::json;

impl Desk {
    pub(super) fn register(&mut self, record: ServiceRecord) -> Answer {
        if self.board.particulars.services.contains_key(&record.name.cast()) {
            return refused(RefusedKind::ServiceExists, format!("Service '{}' already exists", record.name));
        }
        if let Err(error) = address::check(&record, self.config.private_addresses) {
            return refused(RefusedKind::Invalid, error.to_string());
        }
        let name = record.name.clone();
        self.store(record);
        self.show_service(&name)
    }

    /// Stores a registration. A service that is reached by URL is taken to run, so its start is asked for at once.
    fn store(&mut self, record: ServiceRecord) {
        let external = record.url.is_some();
        let node = NodeId::from(EXTERNAL_NODE);
        if external && !self.board.cluster().nodes.contains_key(&node) {
            self.happened(Change::NodeSeen { node, devices: Vec::new(), running: [].into(), unread: false });
        }
        let service = Box::new(placement_service(&record, &self.config));
        let name = service.name.clone();
        self.note(Entry::Service { record: Box::new(record) });
        self.happened(Change::ServiceRegistered { service });
        let stopped = self.board.cluster().services.get(&name).is_some_and(|known| known.container.is_stopped());
        if external && stopped {
            self.happened(Change::StartAsked { service: name });
        }
    }

    pub(super) fn update(&mut self, name: &ServiceName, change: ServiceChange) -> Answer {
        let Some(record) = self.board.particulars.services.get(&name.cast()) else {
            return unknown(name);
        };
        let mut record = record.clone();
        if change.apply(&mut record) {
            if let Err(error) = address::check(&record, self.config.private_addresses) {
                return refused(RefusedKind::Invalid, error.to_string());
            }
            record.updated_at = self.now;
            self.store(record);
        }
        self.show_service(name)
    }

    pub(super) fn delete(&mut self, name: &ServiceName) -> Answer {
        match self.happened(Change::ServiceRemoved { service: name.cast() }) {
            None => Answer::Deleted(name.clone()),
            Some(Refusal::InUse { jobs, .. }) => refused(
                RefusedKind::ServiceHasActiveJobs,
                format!("'{name}' still runs {jobs} jobs; stop it, or wait for them"),
            ),
            Some(_) => unknown(name),
        }
    }

    fn show_service(&self, name: &ServiceName) -> Answer {
        self.board.service_view(&name.cast()).map_or_else(|| unknown(name), |view| Answer::Service(Box::new(view)))
    }

    /// Asks for a start. Where it neither begins at once nor makes something make room, it is taken back.
    pub(super) fn start(&mut self, name: &ServiceName) -> Answer {
        let service: names::Service = name.cast();
        let before = self.show_service(name);
        let known = self.board.cluster().services.get(&service);
        if !known.is_some_and(|known| known.container.is_stopped()) {
            return before;
        }
        self.happened(Change::StartAsked { service: service.clone() });
        let Some(known) = self.board.cluster().services.get(&service) else { return before };
        let making_room = self.draft.effects.iter().any(|effect| makes_room_for(effect, &service));
        if !known.container.is_stopped() || making_room {
            return before;
        }
        let answer = self.no_room(name, &service);
        self.happened(Change::StopAsked { service, drain: false });
        answer
    }

    fn no_room(&self, name: &ServiceName, service: &names::Service) -> Answer {
        let cluster = self.board.cluster();
        let heard = |node: &NodeId| cluster.nodes.get(node).is_some_and(|node| node.lost_since.is_none());
        if !cluster.nodes.keys().any(|node| node.as_str() != EXTERNAL_NODE && heard(node)) {
            return refused(RefusedKind::NoNode, "no GPU host is connected; start its agent with `gantry gpu-monitor`");
        }
        let required_mb = cluster.services.get(service).map_or(0, |known| known.need_mb(&cluster.policy));
        let devices = cluster.devices.values().filter(|device| heard(&device.node));
        let available_mb = devices.map(placement::Device::free_mb).max().unwrap_or(0);
        let running = cluster.services.iter().filter(|(_, known)| !known.container.is_stopped());
        let running: Vec<&str> = running.map(|(name, _)| name.as_str()).collect();
        let running_mb: u64 = cluster.devices.values().map(placement::Device::reserved_mb).sum();
        let numbers = json!({
            "required_mb": required_mb, "available_mb": available_mb,
            "running_services": running, "running_vram_mb": running_mb,
        });
        Answer::Refused(Refused {
            kind: RefusedKind::InsufficientVram,
            text: format!(
                "'{name}' needs {required_mb} MB on one GPU; {available_mb} MB are free and nothing idle can make room"
            ),
            job: None,
            numbers: numbers.as_object().cloned(),
        })
    }

    pub(super) fn stop(&mut self, name: &ServiceName, drain: bool) -> Answer {
        let service: names::Service = name.cast();
        let before = self.show_service(name);
        if self.board.particulars.services.get(&service).is_some_and(|record| record.url.is_some()) {
            return refused(RefusedKind::NoContainer, format!("'{name}' has no container; disable it instead"));
        }
        let was_stopping = self.is_stopping(&service);
        self.happened(Change::StopAsked { service: service.clone(), drain });
        // A stop without draining is a state at once; the core decides nothing more, so the order is given here.
        if let (false, Some(generation)) = (was_stopping.is_some(), self.is_stopping(&service)) {
            let ordered =
                self.draft.effects.iter().any(
                    |effect| matches!(effect, Effect::Act(Action::Stop { service: other, .. }) if *other == service),
                );
            if !ordered {
                let reason = StopReason::Asked;
                self.draft.effects.push(Effect::Act(Action::Stop { service, generation, reason }));
            }
        }
        before
    }

    fn is_stopping(&self, service: &names::Service) -> Option<u64> {
        let container = &self.board.cluster().services.get(service)?.container;
        matches!(container.state, State::Stopping { .. }).then_some(container.generation)
    }

    /// A service answered its health check.
    pub(crate) fn healthy(&mut self, service: names::Service, generation: u64, took_ms: f64) {
        self.board.probed_ms.insert(service.clone(), took_ms);
        self.happened(Change::ContainerReady { service, generation });
    }

    /// A service without a container was told to stop: there is nothing to stop but what was sent to it.
    pub(crate) fn let_be(&mut self, service: names::Service, generation: u64) {
        self.happened(Change::ContainerStopped { service: service.clone(), generation });
        let enabled = self.board.particulars.services.get(&service).is_some_and(|record| record.url.is_some());
        if enabled {
            self.happened(Change::StartAsked { service });
        }
    }
}

fn unknown(name: &ServiceName) -> Answer {
    refused(RefusedKind::UnknownService, format!("Unknown service: {name}"))
}

fn makes_room_for(effect: &Effect, service: &names::Service) -> bool {
    let Effect::Act(Action::Stop { reason, .. } | Action::Drain { reason, .. }) = effect else { return false };
    matches!(reason, StopReason::Evicted { room_for } if room_for == service)
}
