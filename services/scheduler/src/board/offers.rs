//! Services that serve models, as proxies are told of them.

use super::Board;
use crate::names::{self, As};
use domain::control::{ModelOffer, OfferStage, OfferWait, ServiceRecord};
use placement::{Registered, State};

impl Board {
    /// Every service that serves models. `address` says where a service on a node is reached.
    pub(crate) fn offers(
        &self,
        address: impl Fn(&ServiceRecord, Option<&str>) -> Option<String>,
    ) -> Vec<(names::Service, ModelOffer)> {
        let serving = self.particulars.services.iter().filter(|(_, record)| !record.more.models.is_empty());
        serving.filter_map(|(name, record)| Some((name.clone(), self.offer(name, record, &address)?))).collect()
    }

    fn offer(
        &self,
        name: &names::Service,
        record: &ServiceRecord,
        address: impl Fn(&ServiceRecord, Option<&str>) -> Option<String>,
    ) -> Option<ModelOffer> {
        let known = self.cluster().services.get(name)?;
        let stage = if record.enabled { stage_of(known) } else { OfferStage::Unavailable };
        let node = known.container.spot.as_ref().map(|spot| spot.node.as_str());
        Some(ModelOffer {
            service: record.name.clone(),
            service_type: record.service_type.clone(),
            models: record.more.models.clone(),
            backend_kind: record.more.backend_kind.clone(),
            upstream_model: record.more.upstream_model.clone(),
            managed: record.url.is_none(),
            stage,
            address: (stage == OfferStage::Ready).then(|| address(record, node)).flatten(),
            generation: known.container.generation,
            seated: self.seated(name, known),
            waiting: self.offer_wait(name, known),
            failed_starts: known.container.failures,
            last_error: known.container.last_error.clone(),
            retry_at: known.container.retry_at,
            last_start_ms: known.starts.quantile(50),
        })
    }

    /// Whose use is in the state that is stored: what a proxy reads here, nobody undoes behind its back.
    fn seated(&self, name: &names::Service, known: &Registered) -> std::collections::BTreeMap<String, u64> {
        let using = known.seats.iter().filter(|(_, seat)| seat.running);
        let since = using.filter_map(|(holder, _)| {
            let wish = self.said.get(holder)?.seats.wishes.get(&name.cast())?;
            Some((holder.to_string(), wish.in_use_since?))
        });
        since.collect()
    }

    fn offer_wait(&self, name: &names::Service, known: &Registered) -> Option<OfferWait> {
        let (priority, place, _) = known.wish()?;
        let reason = self.engine.explain_service(name)?;
        let cluster = self.cluster();
        let before = |rank: (i32, placement::Place)| rank < (priority, place);
        let queued = cluster.jobs.values().filter(|job| job.status == placement::JobStatus::Queued);
        let jobs = queued.filter(|job| before((job.spec.priority, job.place))).count();
        let others = cluster.services.iter().filter(|(other, _)| *other != name).filter_map(|(_, other)| other.wish());
        let wishes = others.filter(|(priority, place, _)| before((*priority, *place))).count();
        Some(OfferWait {
            text: reason.to_string(),
            hopeless: reason.is_hopeless(),
            reason: serde_json::to_value(&reason).unwrap_or_default(),
            position: Some((jobs + wishes) as u64),
            estimate_ms: known.starts.quantile(50),
        })
    }
}

fn stage_of(known: &Registered) -> OfferStage {
    match known.container.state {
        State::Stopped => OfferStage::Stopped,
        State::Starting { .. } => OfferStage::Starting,
        State::Ready { .. } if known.container.tainted => OfferStage::Leaving,
        State::Ready { .. } => OfferStage::Ready,
        State::Draining { .. } | State::Stopping { .. } => OfferStage::Leaving,
        State::Unhealthy { .. } | State::Lost { .. } => OfferStage::Unavailable,
    }
}
