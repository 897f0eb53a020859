//! What this proxy has been given of the limits of one key, and how it gets more.
//!
//! A request is admitted out of what is here; only when that is used up is the shared counter asked, by one request for
//! all that wait. While the broker is away the key has its share here: the limit through the number of proxies that were
//! last known to serve it. What was served meanwhile is told to the counter afterwards.

use super::counter::{Ask, Counter, Grant};
use super::store::Key;
use bus::{Bus, BusError, Leases};
use domain::keys::KeyLimits;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::time::timeout;

/// How long a request waits for the counter before the key's own share has to do.
const PATIENCE: Duration = Duration::from_millis(500);
/// Somebody else was faster so often: the broker is as good as away.
const TRIES: usize = 24;
/// Who was given nothing does not ask again before this.
const PAUSE: Duration = Duration::from_millis(250);

/// The way to the counters.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) bus: Bus,
    leases: Leases,
    /// This proxy's name among the others.
    name: String,
}

/// One key's part of it.
#[derive(Debug)]
pub(super) struct Lease {
    link: Link,
    turn: tokio::sync::Mutex<Turn>,
}

#[derive(Debug)]
struct Turn {
    not_before: Option<Instant>,
    /// The counter could not be asked last time.
    away: bool,
    proxies: u32,
    /// Served while the counter was away: requests and tokens.
    owed: (f64, f64),
}

impl Link {
    /// Over that broker, under that name.
    pub(crate) fn new(bus: Bus, name: &str) -> Self {
        Self { leases: bus.leases(), bus, name: name.to_owned() }
    }

    async fn ask(&self, key: &str, limits: &KeyLimits, ask: &Ask) -> Result<Grant, BusError> {
        let nobody =
            || BusError::Unavailable { what: "the limits of API keys".to_owned(), cause: "not connected".into() };
        if !self.bus.is_connected() {
            return Err(nobody());
        }
        let asking = async {
            for _ in 0..TRIES {
                let (mut counter, last) = match self.leases.read(key).await? {
                    Some((value, last)) => (serde_json::from_slice(&value).unwrap_or_default(), last),
                    None => (Counter::default(), 0),
                };
                let grant = counter.take(limits, &self.name, ask, now());
                let Ok(value) = serde_json::to_vec(&counter) else { break };
                if self.leases.replace(key, value.into(), last).await?.is_some() {
                    return Ok(grant);
                }
            }
            Err(nobody())
        };
        timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err(nobody()))
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({})", self.name)
    }
}

impl Lease {
    /// Nothing yet.
    pub(super) fn new(link: Link) -> Self {
        let turn = Turn { not_before: None, away: false, proxies: 1, owed: (0.0, 0.0) };
        Self { link, turn: tokio::sync::Mutex::new(turn) }
    }

    /// Gets what is lacking for one more request, unless it was asked for just now.
    pub(super) async fn refill(&self, key: &Key) {
        let Ok(mut turn) = timeout(PATIENCE, self.turn.lock()).await else { return };
        let now = Instant::now();
        let running = key.running();
        let ask = Ask {
            requests: key.requests.as_ref().is_some_and(|bucket| bucket.level(now) < 1.0),
            tokens: key.tokens.as_ref().is_some_and(|bucket| bucket.level(now) <= 0.0),
            places: u32::try_from(running + 1).unwrap_or(u32::MAX),
            more_places: true,
            ..Ask::default()
        };
        let lacks_place = key.limits().concurrent.is_some() && running >= key.places();
        let lacks = ask.requests || ask.tokens || lacks_place;
        if lacks && turn.not_before.is_none_or(|at| at <= now) {
            self.exchange(key, &mut turn, ask).await;
        }
    }

    /// Says that this proxy still holds what it uses, and gives back what it has not used since the last time.
    pub(super) async fn upkeep(&self, key: &Key) {
        let mut turn = self.turn.lock().await;
        let now = Instant::now();
        let buckets = [&key.requests, &key.tokens].map(|bucket| bucket.as_ref());
        let holds = key.places() > 0 && key.limits().concurrent.is_some()
            || buckets.iter().flatten().any(|bucket| bucket.level(now) >= 1.0 || bucket.level(now) < 0.0);
        let running = key.running();
        if turn.away {
            self.exchange(key, &mut turn, Ask { places: clamp(running), more_places: true, ..Ask::default() }).await;
            return;
        }
        let idle = |bucket: Option<&super::bucket::Bucket>| {
            let bucket = bucket.filter(|bucket| bucket.taken(now) == 0.0)?;
            let unused = bucket.level(now).floor();
            (unused >= 1.0).then(|| {
                bucket.pour(now, -unused, None);
                unused
            })
        };
        let (requests_back, tokens_back) = (idle(buckets[0]), idle(buckets[1]));
        if holds || running > 0 {
            let ask = Ask {
                requests_back: requests_back.unwrap_or(0.0),
                tokens_back: tokens_back.unwrap_or(0.0),
                places: clamp(running),
                ..Ask::default()
            };
            self.exchange(key, &mut turn, ask).await;
        }
    }

    async fn exchange(&self, key: &Key, turn: &mut Turn, mut ask: Ask) {
        let (requests, tokens) = (key.requests.as_ref(), key.tokens.as_ref());
        let now = Instant::now();
        let mut paid = 0.0;
        if turn.away {
            turn.owed.0 += requests.map_or(0.0, |bucket| bucket.taken(now));
            turn.owed.1 += tokens.map_or(0.0, |bucket| bucket.taken(now));
            (ask.requests_back, ask.tokens_back) = (-turn.owed.0, -turn.owed.1);
        } else if let Some(bucket) = tokens {
            paid = (-bucket.level(now)).max(0.0);
            ask.tokens_back -= paid;
        }
        let answer = self.link.ask(&key.id, key.limits(), &ask).await;
        let now = Instant::now();
        let Ok(grant) = answer.inspect_err(|error| tracing::debug!(%error, key = key.config.name, "no lease")) else {
            self.stand_alone(key, turn, now);
            return;
        };
        if std::mem::take(&mut turn.away) {
            turn.owed = (0.0, 0.0);
            // What filled up here meanwhile is in the counter, too.
            for bucket in [requests, tokens].into_iter().flatten() {
                bucket.fill_by(now, 0.0, f64::INFINITY);
                bucket.pour(now, -bucket.level(now), None);
            }
        }
        turn.proxies = grant.proxies;
        let wait = |next: u64| Duration::from_millis(next.max(1));
        let nothing = |given: f64, next: u64| (given == 0.0).then(|| wait(next));
        if let Some(bucket) = requests.filter(|_| ask.requests) {
            bucket.pour(now, grant.requests, nothing(grant.requests, grant.requests_in));
        }
        if let Some(bucket) = tokens {
            bucket.pour(now, grant.tokens + paid, nothing(grant.tokens, grant.tokens_in).filter(|_| ask.tokens));
        }
        let lacks_place = key.limits().concurrent.is_some() && grant.places < ask.places;
        key.set_places(grant.places);
        let lacks = [
            (ask.requests && grant.requests == 0.0).then(|| wait(grant.requests_in)),
            (ask.tokens && grant.tokens == 0.0).then(|| wait(grant.tokens_in)),
            lacks_place.then_some(PAUSE),
        ];
        turn.not_before = lacks.into_iter().flatten().min().map(|wait| now + wait.min(PAUSE));
    }

    /// From now on the key has its share here.
    fn stand_alone(&self, key: &Key, turn: &mut Turn, now: Instant) {
        turn.not_before = Some(now + Duration::from_secs(1));
        if std::mem::replace(&mut turn.away, true) {
            return;
        }
        let share = |limit: u32| f64::from(limit) / f64::from(turn.proxies.max(1));
        let limits = key.limits();
        let buckets = [(&key.requests, limits.requests_per_minute), (&key.tokens, limits.tokens_per_minute)];
        for (bucket, limit) in buckets {
            if let (Some(bucket), Some(limit)) = (bucket, limit) {
                bucket.fill_by(now, share(limit), share(limit).max(1.0));
                // It was never given anything: it begins with what a second fills.
                bucket.pour(now, (share(limit) / 60.0).max(1.0), None);
                bucket.taken(now);
            }
        }
        if let Some(limit) = limits.concurrent {
            key.set_places(clamp((share(limit) as usize).max(1)));
        }
        tracing::warn!(
            key = key.config.name,
            proxies = turn.proxies,
            "the broker is away: the key has its share of the limits here"
        );
    }
}

fn clamp(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
