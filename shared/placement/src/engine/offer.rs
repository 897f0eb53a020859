//! The best GPUs for a want: where, and what has to go for it.

use super::shelf::{Class, Shelf};
use super::yields::{Asker, Yield};
use super::{Engine, Want};
use crate::{GpuId, NodeId, Registered, ServiceName};
use domain::Time;

/// Room that a want could have.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) class: Class,
    pub(crate) service: ServiceName,
    pub(crate) node: NodeId,
    pub(crate) devices: Vec<GpuId>,
    pub(crate) need_mb: u64,
    /// What has to go first.
    pub(crate) yields: Vec<Yield>,
    cost: (i64, u64),
    left_mb: u64,
}

impl Offer {
    fn key(&self) -> (Class, (i64, u64), usize, u64, &ServiceName, &NodeId) {
        (self.class, self.cost, self.yields.len(), self.left_mb, &self.service, &self.node)
    }
}

/// One GPU's part of an offer.
struct Part<'a> {
    id: &'a GpuId,
    class: Class,
    cost: (i64, u64),
    left_mb: u64,
    yields: Vec<Yield>,
}

impl Part<'_> {
    fn key(&self) -> (Class, (i64, u64), u64, &GpuId) {
        (self.class, self.cost, self.left_mb, self.id)
    }
}

impl Engine {
    /// The cheapest room for a want over all services that would do and all nodes that are heard.
    pub(crate) fn best_offer(&self, asker: &mut Asker<'_>) -> Option<Offer> {
        let mut best: Option<Offer> = None;
        for known in self.startable_for(asker.want) {
            for free_only in [true, false] {
                if best.as_ref().is_some_and(|best| best.class == Class::Free) && !free_only {
                    break;
                }
                for (node, gpus) in self.index.shelves.nodes.iter().filter(|(id, _)| known.service.may_be_on(id)) {
                    let Some(offer) = self.offer_on(known, node, gpus, free_only, asker) else {
                        continue;
                    };
                    if best.as_ref().is_none_or(|best| offer.key() < best.key()) {
                        best = Some(offer);
                    }
                }
            }
        }
        best
    }

    /// When a want that was in vain may not be any more, by the passing of time alone.
    pub(crate) fn next_look_for(&self, want: &Want) -> Option<Time> {
        let mut asker = self.asker(want);
        self.best_offer(&mut asker);
        asker.wake
    }

    pub(crate) fn startable_for<'a>(&'a self, want: &'a Want) -> impl Iterator<Item = &'a Registered> {
        let asked = want.priority == i32::MIN;
        let index = self.index.types.get(&want.kind);
        let names = index.into_iter().flat_map(move |index| if asked { &index.services } else { &index.startable });
        let names = names.filter(|name| want.pin.as_ref().is_none_or(|pin| pin == *name));
        let known = names.filter_map(|name| self.cluster.services.get(name));
        known.filter(|known| super::index::can_start(known, self.now))
    }

    fn offer_on(
        &self,
        known: &Registered,
        node: &NodeId,
        gpus: &[Shelf],
        free_only: bool,
        asker: &mut Asker<'_>,
    ) -> Option<Offer> {
        let need_mb = known.need_mb(&self.cluster.policy);
        let wanted = usize::from(known.service.gpus);
        let usable = gpus.iter().filter(|shelf| wanted > 0 && known.service.may_use(&shelf.id, node));
        let offered = usable.filter_map(|shelf| part(shelf, need_mb, free_only, asker));
        let mut parts: Vec<Part<'_>> = Vec::new();
        if wanted == 1 {
            parts.extend(offered.reduce(|best, part| if part.key() < best.key() { part } else { best }));
        } else {
            parts.extend(offered);
            parts.sort_by(|a, b| a.key().cmp(&b.key()));
            parts.truncate(wanted);
        }
        if parts.len() < wanted {
            return None;
        }
        let class = parts.iter().map(|part| part.class).max().unwrap_or(Class::Free);
        let cost = parts.iter().fold((0, 0), |sum, part| add(sum, part.cost));
        let left_mb = parts.iter().map(|part| part.left_mb).sum();
        let devices = parts.iter().map(|part| part.id.clone()).collect();
        let mut yields: Vec<Yield> = parts.into_iter().flat_map(|part| part.yields).collect();
        yields.sort_by(|a, b| a.service.cmp(&b.service));
        yields.dedup_by(|a, b| a.service == b.service);
        let (service, node) = (known.service.name.clone(), node.clone());
        Some(Offer { class, service, node, devices, need_mb, yields, cost, left_mb })
    }
}

fn part<'a>(shelf: &'a Shelf, need_mb: u64, free_only: bool, asker: &mut Asker<'_>) -> Option<Part<'a>> {
    let target = need_mb.saturating_add(shelf.promised_mb);
    if target > shelf.capacity_mb {
        return None;
    }
    let id = &shelf.id;
    if shelf.free_mb >= target {
        let busy = shelf.busy(asker.policy, asker.now);
        let class = if busy { Class::Wait } else { Class::Free };
        let left_mb = shelf.free_mb - target;
        return (!free_only || !busy).then(|| Part { id, class, cost: (0, 0), left_mb, yields: Vec::new() });
    }
    if free_only {
        return None;
    }
    let (yields, had_mb) = enough(asker.yields(shelf), target - shelf.free_mb)?;
    let class = yields.iter().map(|one| one.class).max().unwrap_or(Class::Wait);
    let dearest = yields.iter().filter(|one| one.class == class);
    let cost = dearest.fold((0, 0), |sum, one| add(sum, one.cost));
    Some(Part { id, class, cost, left_mb: shelf.free_mb.saturating_add(had_mb).saturating_sub(target), yields })
}

fn add(a: (i64, u64), b: (i64, u64)) -> (i64, u64) {
    (a.0.saturating_add(b.0), a.1.saturating_add(b.1))
}

/// The first that together give enough, without those that turn out not to be needed.
fn enough(mut taken: Vec<Yield>, missing_mb: u64) -> Option<(Vec<Yield>, u64)> {
    let mut had = 0_u64;
    let mut count = 0;
    for one in &taken {
        if had >= missing_mb {
            break;
        }
        had = had.saturating_add(one.mb);
        count += 1;
    }
    if had < missing_mb {
        return None;
    }
    taken.truncate(count);
    taken.retain(|one| {
        let needless = one.class > Class::Wait && had.saturating_sub(one.mb) >= missing_mb;
        if needless {
            had -= one.mb;
        }
        !needless
    });
    Some((taken, had))
}
