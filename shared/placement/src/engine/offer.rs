//! The best GPUs for a want: where, and what has to go for it.

use super::shelf::{Class, Shelf};
use super::yields::{Asker, Bid, Yield};
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
}

/// A GPU's answer to a want.
#[derive(Clone, Copy)]
struct Quote<'a> {
    shelf: &'a Shelf,
    class: Class,
    cost: (i64, u64),
    left_mb: u64,
    /// How many containers would have to go.
    yields: usize,
}

impl Quote<'_> {
    fn key(&self) -> (Class, (i64, u64), u64, &GpuId) {
        (self.class, self.cost, self.left_mb, &self.shelf.id)
    }
}

/// The GPUs of one node that a service would get. Nearly always one, and most candidates are not the best, so nothing is
/// copied before the best is known.
enum Gpus<'a> {
    One(Quote<'a>),
    Several(Vec<Quote<'a>>),
}

struct Candidate<'a> {
    known: &'a Registered,
    node: &'a NodeId,
    need_mb: u64,
    free_only: bool,
    class: Class,
    cost: (i64, u64),
    yields: usize,
    left_mb: u64,
    gpus: Gpus<'a>,
}

impl<'a> Candidate<'a> {
    fn key(&self) -> (Class, (i64, u64), usize, u64, &ServiceName, &NodeId) {
        (self.class, self.cost, self.yields, self.left_mb, &self.known.service.name, self.node)
    }

    fn quotes(&self) -> &[Quote<'a>] {
        match &self.gpus {
            Gpus::One(quote) => std::slice::from_ref(quote),
            Gpus::Several(quotes) => quotes,
        }
    }

    /// What has to go on all of its GPUs, each once.
    fn yields(&self, asker: &mut Asker<'_>, bids: &mut Vec<Bid<'a>>) -> Vec<Yield> {
        let mut yields: Vec<Yield> = Vec::new();
        for one in self.quotes() {
            bids.clear();
            if quote(one.shelf, self.need_mb, self.free_only, asker, bids).is_some() {
                yields.extend(bids.iter().map(|bid| bid.to_yield()));
            }
        }
        yields.sort_by(|a, b| a.service.cmp(&b.service));
        yields.dedup_by(|a, b| a.service == b.service);
        yields
    }

    fn to_offer(&self, asker: &mut Asker<'_>, bids: &mut Vec<Bid<'a>>) -> Offer {
        Offer {
            class: self.class,
            service: self.known.service.name.clone(),
            node: self.node.clone(),
            devices: self.quotes().iter().map(|quote| quote.shelf.id.clone()).collect(),
            need_mb: self.need_mb,
            yields: self.yields(asker, bids),
        }
    }
}

impl Engine {
    /// The cheapest room for a want over all services that would do and all nodes that are heard.
    pub(crate) fn best_offer<'a>(&'a self, asker: &mut Asker<'a>) -> Option<Offer> {
        let mut best: Option<Candidate<'a>> = None;
        let mut bids: Vec<Bid<'a>> = Vec::new();
        for known in self.startable_for(asker.want) {
            // Where no GPU has that much free, none needs to be asked for what is free.
            let any_free = known.need_mb(&self.cluster.policy) <= self.index.shelves.most_free_mb;
            for free_only in [true, false] {
                if free_only && !any_free {
                    continue;
                }
                if best.as_ref().is_some_and(|best| best.class == Class::Free) && !free_only {
                    break;
                }
                for (node, gpus) in self.index.shelves.nodes.iter().filter(|(id, _)| known.service.may_be_on(id)) {
                    let Some(found) = self.candidate(known, node, gpus, free_only, asker, &mut bids) else {
                        continue;
                    };
                    if best.as_ref().is_none_or(|best| found.key() < best.key()) {
                        best = Some(found);
                    }
                }
            }
        }
        best.map(|best| best.to_offer(asker, &mut bids))
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

    fn candidate<'a>(
        &'a self,
        known: &'a Registered,
        node: &'a NodeId,
        gpus: &'a [Shelf],
        free_only: bool,
        asker: &mut Asker<'_>,
        bids: &mut Vec<Bid<'a>>,
    ) -> Option<Candidate<'a>> {
        let need_mb = known.need_mb(&self.cluster.policy);
        let wanted = usize::from(known.service.gpus);
        let usable = gpus.iter().filter(|shelf| wanted > 0 && known.service.may_use(&shelf.id, node));
        let offered = usable.filter_map(|shelf| {
            bids.clear();
            quote(shelf, need_mb, free_only, asker, bids)
        });
        if wanted == 1 {
            let best = offered.reduce(|best, quote| if quote.key() < best.key() { quote } else { best })?;
            let Quote { class, cost, left_mb, yields, .. } = best;
            let gpus = Gpus::One(best);
            return Some(Candidate { known, node, need_mb, free_only, class, cost, yields, left_mb, gpus });
        }
        let mut quotes: Vec<Quote<'_>> = offered.collect();
        quotes.sort_by(|a, b| a.key().cmp(&b.key()));
        quotes.truncate(wanted);
        if quotes.len() < wanted {
            return None;
        }
        let class = quotes.iter().map(|quote| quote.class).max().unwrap_or(Class::Free);
        let cost = quotes.iter().fold((0, 0), |sum, quote| add(sum, quote.cost));
        let left_mb = quotes.iter().map(|quote| quote.left_mb).sum();
        let gpus = Gpus::Several(quotes);
        let mut found = Candidate { known, node, need_mb, free_only, class, cost, yields: 0, left_mb, gpus };
        found.yields = found.yields(asker, bids).len();
        Some(found)
    }
}

/// What one GPU answers; `bids` is empty before, and holds what would have to go after.
fn quote<'a>(
    shelf: &'a Shelf,
    need_mb: u64,
    free_only: bool,
    asker: &mut Asker<'_>,
    bids: &mut Vec<Bid<'a>>,
) -> Option<Quote<'a>> {
    let target = need_mb.saturating_add(shelf.promised_mb);
    if target > shelf.capacity_mb {
        return None;
    }
    if shelf.free_mb >= target {
        let busy = shelf.busy(asker.policy, asker.now);
        let class = if busy { Class::Wait } else { Class::Free };
        let left_mb = shelf.free_mb - target;
        return (!free_only || !busy).then_some(Quote { shelf, class, cost: (0, 0), left_mb, yields: 0 });
    }
    if free_only {
        return None;
    }
    asker.bids(shelf, bids);
    let had_mb = enough(bids, target - shelf.free_mb)?;
    let class = bids.iter().map(|one| one.class).max().unwrap_or(Class::Wait);
    let dearest = bids.iter().filter(|one| one.class == class);
    let cost = dearest.fold((0, 0), |sum, one| add(sum, one.cost));
    let left_mb = shelf.free_mb.saturating_add(had_mb).saturating_sub(target);
    Some(Quote { shelf, class, cost, left_mb, yields: bids.len() })
}

fn add(a: (i64, u64), b: (i64, u64)) -> (i64, u64) {
    (a.0.saturating_add(b.0), a.1.saturating_add(b.1))
}

/// Keeps the first that together give enough, without those that turn out not to be needed, and says what they give.
fn enough(bids: &mut Vec<Bid<'_>>, missing_mb: u64) -> Option<u64> {
    let mut had = 0_u64;
    let mut count = 0;
    for one in bids.iter() {
        if had >= missing_mb {
            break;
        }
        had = had.saturating_add(one.view.mb);
        count += 1;
    }
    if had < missing_mb {
        return None;
    }
    bids.truncate(count);
    bids.retain(|one| {
        let needless = one.class > Class::Wait && had.saturating_sub(one.view.mb) >= missing_mb;
        if needless {
            had -= one.view.mb;
        }
        !needless
    });
    Some(had)
}
