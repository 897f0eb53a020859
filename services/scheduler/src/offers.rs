//! Tells proxies how the services that serve models stand: what changed, as soon as it is stored.

use crate::board::Board;
use crate::effects::{Http, Shared};
use crate::names;
use domain::control::{ModelOffer, OfferUpdate, OfferWait};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Updates on their way; while they are, nothing newer is told.
const ON_THE_WAY: usize = 256;
/// How often numbers of a reason are brought up to date that change all the time.
const NUMBERS_EVERY: Duration = Duration::from_secs(1);

/// What proxies were told.
pub(crate) struct Offers {
    told: BTreeMap<names::Service, (ModelOffer, Instant)>,
    out: mpsc::Sender<OfferUpdate>,
    /// When numbers have to be told anew.
    due: Option<Instant>,
    /// Whether it was told that another leads.
    announced: bool,
}

impl Offers {
    /// Begins to tell; everything is told once.
    pub(crate) fn start(shared: &Arc<Shared>) -> Self {
        let (out, mut updates) = mpsc::channel::<OfferUpdate>(ON_THE_WAY);
        let inner = shared.clone();
        shared.spawn("offers", async move {
            while let Some(update) = updates.recv().await {
                // Whoever follows would wait for what was not told, so it is told until it is.
                while let Err(error) = inner.bus.offer(&update).await {
                    tracing::warn!(%error, service = %update.service, "an offer was not told; trying again");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        });
        Self { told: BTreeMap::new(), out, due: None, announced: false }
    }

    /// When it has to look again although nothing happened.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due
    }

    /// Tells what differs from what was told. What finds no room on the way is told at the next look.
    pub(crate) fn look(&mut self, board: &Board, http: &Http) {
        let now = Instant::now();
        let epoch = board.particulars.epoch;
        let offers = board.offers(|record, node| http.base(record, node));
        self.due = None;
        if !self.announced {
            // What an earlier leader told of services that are gone by now ends with its epoch.
            self.announced = self.out.try_send(OfferUpdate::lead(epoch)).is_ok();
        }
        if self.told.len() != offers.len() {
            self.withdraw(board, epoch);
        }
        for (name, offer) in offers {
            let told = self.told.get(&name);
            let same = told.is_some_and(|(told, _)| is_same(told, &offer));
            let numbers_at = told.map(|(_, at)| *at + NUMBERS_EVERY);
            if same && told.is_some_and(|(told, _)| told.waiting == offer.waiting) {
                continue;
            }
            if let (true, Some(at)) = (same, numbers_at.filter(|at| *at > now)) {
                self.due = Some(self.due.map_or(at, |due| due.min(at)));
                continue;
            }
            let update = OfferUpdate { epoch, service: offer.service.clone(), offer: Some(Box::new(offer.clone())) };
            if self.out.try_send(update).is_ok() {
                self.told.insert(name, (offer, now));
            }
        }
    }

    /// Services that serve no model, or are gone.
    fn withdraw(&mut self, board: &Board, epoch: u64) {
        let serves = |name: &names::Service| {
            board.particulars.services.get(name).is_some_and(|record| !record.more.models.is_empty())
        };
        let gone: Vec<names::Service> = self.told.keys().filter(|name| !serves(name)).cloned().collect();
        for name in gone {
            let service = domain::control::ServiceName::new(name.as_str());
            if self.out.try_send(OfferUpdate { epoch, service, offer: None }).is_ok() {
                self.told.remove(&name);
            }
        }
    }
}

/// Whether nothing is different but numbers of the reason.
fn is_same(told: &ModelOffer, now: &ModelOffer) -> bool {
    let kind = |wait: &Option<OfferWait>| {
        wait.as_ref().map(|wait| (wait.hopeless, wait.reason["because"].as_str().map(str::to_owned)))
    };
    let bare = |offer: &ModelOffer| ModelOffer { waiting: None, ..offer.clone() };
    kind(&told.waiting) == kind(&now.waiting) && bare(told) == bare(now)
}
