//! Offers of leaders that follow each other, and the words that clients and the scheduler hear.

use super::follow::Known;
use super::served::{Served, Want};
use super::{Stage, Voice};
use crate::backends;
use crate::config::{BackendConfig, Config, ModelConfig, ReplicaConfig};
use crate::error::ProxyError;
use crate::routing::{Fleet, Permits};
use domain::control::{BACKEND_KINDS, ModelOffer, OfferStage, OfferUpdate, OfferWait};
use domain::models::ModelTimeouts;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

fn offer(name: &str, stage: OfferStage) -> ModelOffer {
    ModelOffer {
        service: name.into(),
        service_type: "llm".into(),
        models: vec![name.to_owned()],
        backend_kind: Some("llamacpp".to_owned()),
        upstream_model: None,
        managed: true,
        stage,
        address: (stage == OfferStage::Ready).then(|| "http://127.0.0.1:9".to_owned()),
        generation: 1,
        seated: BTreeMap::new(),
        waiting: None,
        failed_starts: 0,
        last_error: None,
        retry_at: None,
        last_start_ms: None,
    }
}

fn update(epoch: u64, name: &str) -> OfferUpdate {
    OfferUpdate { epoch, service: name.into(), offer: Some(Box::new(offer(name, OfferStage::Stopped))) }
}

fn names(known: &Known) -> Vec<&str> {
    known.offers.keys().map(domain::control::ServiceName::as_str).collect()
}

#[test]
fn the_domain_knows_every_kind_of_backend() {
    let ours: Vec<&str> = backends::ALL.iter().map(|kind| kind.name).collect();
    let mut theirs = BACKEND_KINDS.to_vec();
    theirs.sort_unstable();
    let mut sorted = ours.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, theirs);
}

#[test]
fn what_a_leader_said_ends_when_another_leads_and_does_not_say_it_again() {
    let (mut known, now) = (Known::default(), Instant::now());
    assert!(known.take(update(1, "a"), now) && known.take(update(1, "b"), now));
    known.take(OfferUpdate::lead(7), now);
    known.take(update(7, "a"), now);
    assert!(!known.take(update(1, "a"), now), "what an older one says late is passed over");
    assert_eq!(names(&known), ["a", "b"], "the new one is given time");
    assert!(known.drop_at.is_some() && known.drop_old());
    assert_eq!(names(&known), ["a"]);
    assert!(known.take(OfferUpdate { epoch: 7, service: "a".into(), offer: None }, now));
    assert!(names(&known).is_empty());
}

struct Bench {
    voice: Arc<Voice>,
    permits: Arc<Permits>,
}

impl Bench {
    fn new() -> Self {
        Self { voice: Voice::new("me"), permits: Arc::default() }
    }

    async fn seat(&self, served: &Arc<Served>, stage: &Stage, patience: Duration) -> Result<(), ProxyError> {
        let ticket = self.permits.ticket();
        let want = Want { priority: 3, most_waiting: 1, patience, stage, ticket: &ticket };
        served.seat(want).await.map(|(_, guard)| drop(guard))
    }
}

#[tokio::test]
async fn a_service_is_used_only_once_that_is_stored_and_a_waiter_that_left_wants_nothing() {
    let (bench, stage) = (Bench::new(), Stage::default());
    let served = Served::new(offer("a", OfferStage::Ready), &bench.voice);
    let waits = bench.seat(&served, &stage, Duration::from_secs(60));
    let mut waits = Box::pin(waits);
    assert!(futures::poll!(&mut waits).is_pending(), "it serves, but nobody knows that we use it");
    let (wish, _) = served.wish(4, Instant::now());
    assert_eq!(wish.map(|wish| (wish.waiting, wish.in_use_since)), Some((false, Some(4))));
    // An answer to an older word, and one that was heard by nobody, are none.
    served.update(ModelOffer { seated: [("me".to_owned(), 3)].into(), ..offer("a", OfferStage::Ready) });
    assert!(futures::poll!(&mut waits).is_pending());
    bench.voice.was_heard(Instant::now());
    served.update(ModelOffer { seated: [("me".to_owned(), 4)].into(), ..offer("a", OfferStage::Ready) });
    assert!(matches!(futures::poll!(&mut waits), std::task::Poll::Ready(Ok(()))));
    drop(waits);
    let (lingering, until) = served.wish(5, Instant::now());
    assert!(lingering.is_some() && until.is_some(), "a trickle of requests asks nobody");
    let (later, _) = served.wish(6, Instant::now() + Duration::from_secs(10));
    assert_eq!(later, None);
    let mut left = Box::pin(bench.seat(&served, &stage, Duration::from_secs(60)));
    assert!(futures::poll!(&mut left).is_pending());
    drop(left);
    assert_eq!(served.wish(7, Instant::now() + Duration::from_secs(10)).0, None);
    assert_eq!(bench.permits.leaked() + bench.permits.held(), 0);
}

#[tokio::test]
async fn what_drains_is_not_held_up_by_those_who_wait_for_its_next_start() {
    let (bench, stage) = (Bench::new(), Stage::default());
    let served = Served::new(offer("a", OfferStage::Leaving), &bench.voice);
    let mut waits = Box::pin(bench.seat(&served, &stage, Duration::from_secs(60)));
    assert!(futures::poll!(&mut waits).is_pending());
    let (wish, _) = served.wish(1, Instant::now());
    assert_eq!(wish.map(|wish| (wish.waiting, wish.in_use_since)), Some((true, None)));
    let mut second = Box::pin(bench.seat(&served, &stage, Duration::from_secs(60)));
    assert!(matches!(futures::poll!(&mut second), std::task::Poll::Ready(Err(ProxyError::QueueFull { .. }))));
}

#[tokio::test]
async fn waiting_ends_when_it_is_of_no_use_when_the_start_failed_and_when_it_took_too_long() {
    let (bench, stage) = (Bench::new(), Stage::default());
    let wait = OfferWait {
        text: "needs 80000 MB,\nhas 10000".to_owned(),
        reason: serde_json::Value::Null,
        hopeless: false,
        position: Some(2),
        estimate_ms: Some(900),
    };
    let waiting = ModelOffer { waiting: Some(wait.clone()), ..offer("a", OfferStage::Stopped) };
    let served = Served::new(waiting.clone(), &bench.voice);
    let error = bench.seat(&served, &stage, Duration::from_millis(1)).await.unwrap_err();
    assert!(matches!(&error, ProxyError::StartTimeout { why, .. } if why.contains("80000")), "{error}");
    assert!(error.retry_after().is_some());
    let comment = String::from_utf8(stage.comment().to_vec()).unwrap();
    assert!(comment.starts_with(": gantry stage=stopped service=a waited_ms="), "{comment}");
    assert!(comment.ends_with(" position=2 estimate_ms=900 needs 80000 MB, has 10000\n\n"), "{comment}");
    let mut waits = Box::pin(bench.seat(&served, &stage, Duration::from_secs(60)));
    assert!(futures::poll!(&mut waits).is_pending());
    served.update(ModelOffer { failed_starts: 1, last_error: Some("exit 1".to_owned()), ..waiting.clone() });
    let std::task::Poll::Ready(Err(error)) = futures::poll!(&mut waits) else { panic!("it failed") };
    assert!(matches!(&error, ProxyError::StartFailed { why, .. } if why == "exit 1") && !error.is_final());
    served.update(ModelOffer { waiting: Some(OfferWait { hopeless: true, ..wait }), ..waiting });
    let error = bench.seat(&served, &stage, Duration::from_secs(60)).await.unwrap_err();
    assert!(matches!(error, ProxyError::CannotStart { .. }) && error.is_final());
}

#[test]
fn an_entry_without_replicas_is_about_the_services_that_offer_its_model() {
    let voice = Voice::new("me");
    let models = vec!["m".to_owned(), "other".to_owned()];
    let services = [Served::new(ModelOffer { models, ..offer("llm", OfferStage::Stopped) }, &voice)];
    let entry = ModelConfig {
        name: "m".to_owned(),
        aliases: vec!["gpt-4o".to_owned()],
        fallbacks: vec!["spare".to_owned()],
        queue: Some(7),
        timeouts: ModelTimeouts { start_s: Some(9.0), ..ModelTimeouts::default() },
        ..ModelConfig::default()
    };
    let backend = BackendConfig::new("b", "vllm", "http://b:8001");
    let replicas = vec![ReplicaConfig { backend: "b".to_owned(), ..ReplicaConfig::default() }];
    let with_replicas = ModelConfig { replicas, ..entry.clone() };
    let mut config = Config { backends: vec![backend], models: vec![entry], ..Config::default() };
    let fleet = Fleet::new(&config, &services, &Fleet::default()).unwrap();
    for name in ["m", "gpt-4o"] {
        let model = fleet.resolve(Some(name)).unwrap();
        assert_eq!((model.services.len(), model.most_waiting, model.fallbacks.len()), (1, 7, 1), "{name}");
        assert_eq!(model.timeouts.start, Duration::from_secs(9));
    }
    let other = fleet.resolve(Some("other")).unwrap();
    assert_eq!((other.services.len(), other.most_waiting), (1, config.bounds.queue), "without an entry, as it was");
    let without = Fleet::new(&config, &[], &fleet).unwrap().resolve(Some("gpt-4o")).unwrap();
    assert!(without.services.is_empty() && without.replicas.is_empty(), "it waits for its service to come back");
    config.models = vec![with_replicas];
    let replaced = Fleet::new(&config, &services, &fleet).unwrap().resolve(Some("m")).unwrap();
    assert_eq!((replaced.services.len(), replaced.replicas.len()), (0, 1), "replicas take the services' place");
}
