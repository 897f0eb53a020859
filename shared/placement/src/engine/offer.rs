//! The best GPUs for a want: where, and what has to go for it.

use super::shelf::{Shelf, Wake, Yield};
use super::{Engine, Want};
use crate::{GpuId, NodeId, Registered, ServiceName};
use std::collections::BTreeMap;

pub(crate) use super::shelf::Class;

pub(crate) type Shelves = BTreeMap<GpuId, Shelf>;

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
struct Part {
    id: GpuId,
    class: Class,
    cost: (i64, u64),
    left_mb: u64,
    yields: Vec<Yield>,
}

impl Engine {
    /// The cheapest room for a want over all services that would do and all nodes that are heard.
    pub(crate) fn best_offer(&self, want: &Want, shelves: &Shelves, wake: &mut Wake) -> Option<Offer> {
        let mut best: Option<Offer> = None;
        for known in self.startable_for(want) {
            for free_only in [true, false] {
                let nodes = self.cluster.nodes.iter().filter(|(_, node)| node.lost_since.is_none());
                for (id, node) in nodes.filter(|(id, _)| known.service.may_be_on(id)) {
                    let Some(offer) = self.offer_on(known, id, &node.devices, want, shelves, free_only, wake) else {
                        continue;
                    };
                    if best.as_ref().is_none_or(|best| offer.key() < best.key()) {
                        best = Some(offer);
                    }
                }
                if best.as_ref().is_some_and(|best| best.class == Class::Free) {
                    break;
                }
            }
        }
        best
    }

    pub(crate) fn startable_for<'a>(&'a self, want: &'a Want) -> impl Iterator<Item = &'a Registered> {
        let asked = want.priority == i32::MIN;
        let index = self.index.types.get(&want.kind);
        let names = index.into_iter().flat_map(move |index| if asked { &index.services } else { &index.startable });
        let names = names.filter(|name| want.pin.as_ref().is_none_or(|pin| pin == *name));
        let known = names.filter_map(|name| self.cluster.services.get(name));
        known.filter(|known| super::index::can_start(known, self.now))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one question, each used once")]
    fn offer_on(
        &self,
        known: &Registered,
        node: &NodeId,
        devices: &[GpuId],
        want: &Want,
        shelves: &Shelves,
        free_only: bool,
        wake: &mut Wake,
    ) -> Option<Offer> {
        let need_mb = known.need_mb(&self.cluster.policy);
        let wanted = usize::from(known.service.gpus);
        let mut parts: Vec<Part> = Vec::new();
        for id in devices.iter().filter(|id| wanted > 0 && known.service.may_use(id, node)) {
            let Some(shelf) = shelves.get(id) else { continue };
            parts.extend(self.part(id, shelf, need_mb, want, free_only, wake));
        }
        if parts.len() < wanted {
            return None;
        }
        parts.sort_by(|a, b| (a.class, a.cost, a.left_mb, &a.id).cmp(&(b.class, b.cost, b.left_mb, &b.id)));
        parts.truncate(wanted);
        let mut yields: Vec<Yield> = parts.iter().flat_map(|part| part.yields.iter().cloned()).collect();
        yields.sort_by(|a, b| a.service.cmp(&b.service));
        yields.dedup_by(|a, b| a.service == b.service);
        Some(Offer {
            class: parts.iter().map(|part| part.class).max().unwrap_or(Class::Free),
            cost: parts.iter().fold((0, 0), |sum, part| {
                (sum.0.saturating_add(part.cost.0), sum.1.saturating_add(part.cost.1))
            }),
            left_mb: parts.iter().map(|part| part.left_mb).sum(),
            service: known.service.name.clone(),
            node: node.clone(),
            devices: parts.into_iter().map(|part| part.id).collect(),
            need_mb,
            yields,
        })
    }

    fn part(
        &self,
        id: &GpuId,
        shelf: &Shelf,
        need_mb: u64,
        want: &Want,
        free_only: bool,
        wake: &mut Wake,
    ) -> Option<Part> {
        let target = need_mb.saturating_add(shelf.promised_mb);
        if target > shelf.capacity_mb {
            return None;
        }
        if shelf.free_mb >= target {
            let class = if shelf.busy { Class::Wait } else { Class::Free };
            let left_mb = shelf.free_mb - target;
            return (!free_only || class == Class::Free)
                .then(|| Part { id: id.clone(), class, cost: (0, 0), left_mb, yields: Vec::new() });
        }
        if free_only {
            return None;
        }
        let (yields, had_mb) = enough(self.yields(id, want, wake), target - shelf.free_mb)?;
        let class = yields.iter().map(|y| y.class).max().unwrap_or(Class::Wait);
        let dearest = yields.iter().filter(|y| y.class == class);
        let cost = dearest.fold((0_i64, 0_u64), |sum, y| (sum.0.saturating_add(y.cost.0), sum.1.saturating_add(y.cost.1)));
        Some(Part { id: id.clone(), class, cost, left_mb: shelf.free_mb.saturating_add(had_mb).saturating_sub(target), yields })
    }
}

/// The first that together give enough, without those that turn out not to be needed.
fn enough(yields: Vec<Yield>, missing_mb: u64) -> Option<(Vec<Yield>, u64)> {
    let mut had = 0_u64;
    let mut taken = Vec::new();
    for one in yields {
        if had >= missing_mb {
            break;
        }
        had = had.saturating_add(one.mb);
        taken.push(one);
    }
    if had < missing_mb {
        return None;
    }
    let mut kept = Vec::new();
    for one in taken {
        if one.class > Class::Wait && had.saturating_sub(one.mb) >= missing_mb {
            had -= one.mb;
        } else {
            kept.push(one);
        }
    }
    Some((kept, had))
}
