//! The bounded queue of one model: who may start now, who waits, and who goes next.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};

/// A request that waited this long counts as one priority higher, so that no priority starves another.
const AGEING: Duration = Duration::from_secs(10);
/// Tenants whose turn is remembered.
const TENANTS: usize = 4_096;

/// The door of one model.
#[derive(Debug)]
pub(crate) struct Admission {
    state: Mutex<State>,
    /// Tells of room for one more.
    room: Notify,
}

/// Where a request stands among others.
#[derive(Clone, Debug)]
pub(crate) struct Rank {
    pub(crate) tenant: Arc<str>,
    pub(crate) weight: u32,
    pub(crate) priority: i32,
}

#[derive(Debug, Default)]
struct State {
    /// Places; none for no bound.
    capacity: Option<usize>,
    queue: usize,
    running: usize,
    waiting: Vec<Waiter>,
    /// Virtual time of fair queueing: a tenant's next request is due one turn, shortened by its weight, after its last.
    clock: f64,
    turns: HashMap<Arc<str>, f64>,
    next: u64,
    /// Smoothed seconds that a place stays taken.
    stay: f64,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    tenant: Arc<str>,
    weight: f64,
    priority: i32,
    due: f64,
    since: Instant,
    go: oneshot::Sender<()>,
}

/// The queue is full, and nobody in it has to make room.
#[derive(Debug, PartialEq)]
pub(crate) struct Full {
    pub(crate) waiting: usize,
    pub(crate) retry: Duration,
}

/// A place that was given. Dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    since: Instant,
}

/// What [`Admission::enter`] found.
#[derive(Debug)]
pub(crate) enum Entry {
    Free(Place),
    Wait(Waiting),
}

/// A stay in the queue. Dropping it leaves the queue.
#[derive(Debug)]
pub(crate) struct Waiting {
    admission: Arc<Admission>,
    id: u64,
    turn: oneshot::Receiver<()>,
    done: bool,
}

impl Admission {
    /// A door with so many places and so long a queue.
    pub(crate) fn new(capacity: Option<usize>, queue: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { capacity, queue, ..State::default() }), room: Notify::new() })
    }

    /// Changes the bounds; those inside and waiting stay.
    pub(crate) fn resize(&self, capacity: Option<usize>, queue: usize) {
        let mut state = self.lock();
        (state.capacity, state.queue) = (capacity, queue);
        state.fill();
        self.room.notify_waiters();
    }

    /// Requests that wait, and that are inside.
    pub(crate) fn load(&self) -> (usize, usize) {
        let state = self.lock();
        (state.waiting.len(), state.running)
    }

    /// Whether a newcomer would have a place at once.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.lock();
        state.has_place() && state.waiting.is_empty()
    }

    /// Waits until one more could have a place or stand in the queue.
    pub(crate) async fn room(&self) {
        loop {
            let mut told = pin!(self.room.notified());
            // Whoever leaves from here on is heard.
            told.as_mut().enable();
            let has_room = {
                let state = self.lock();
                state.has_place() || state.waiting.len() < state.queue
            };
            if has_room {
                return;
            }
            told.await;
        }
    }

    /// Takes a place, or a stand in the queue.
    pub(crate) fn enter(self: &Arc<Self>, rank: &Rank, now: Instant) -> Result<Entry, Full> {
        let mut state = self.lock();
        if state.has_place() && state.waiting.is_empty() {
            state.running += 1;
            return Ok(Entry::Free(Place { admission: Arc::clone(self), since: now }));
        }
        if state.waiting.len() >= state.queue && !state.make_room(rank) {
            return Err(Full { waiting: state.waiting.len(), retry: state.estimate() });
        }
        let (go, turn) = oneshot::channel();
        let id = state.next;
        state.next += 1;
        let due = state.due(rank);
        let weight = weight(rank);
        state.waiting.push(Waiter {
            id,
            tenant: rank.tenant.clone(),
            weight,
            priority: rank.priority,
            due,
            since: now,
            go,
        });
        Ok(Entry::Wait(Waiting { admission: Arc::clone(self), id, turn, done: false }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_place(&self) -> bool {
        self.capacity.is_none_or(|capacity| self.running < capacity)
    }

    fn due(&mut self, rank: &Rank) -> f64 {
        if self.turns.len() >= TENANTS {
            let clock = self.clock;
            self.turns.retain(|_, due| *due > clock);
        }
        let last = self.turns.get(&rank.tenant).copied().unwrap_or(self.clock).max(self.clock);
        let due = last + 1.0 / weight(rank);
        self.turns.insert(rank.tenant.clone(), due);
        due
    }

    /// Sends the last one of that tenant away that fills the queue most for its weight, if the newcomer's tenant fills it
    /// less, the newcomer included. So nobody keeps others out by asking often.
    fn make_room(&mut self, rank: &Rank) -> bool {
        let share = |tenant: &str, weight: f64, more: usize| {
            let waiting = self.waiting.iter().filter(|waiter| &*waiter.tenant == tenant).count();
            (waiting + more) as f64 / weight
        };
        let mine = share(&rank.tenant, weight(rank), 1);
        let lesser = self.waiting.iter().enumerate().filter(|(_, waiter)| waiter.priority <= rank.priority);
        let most = lesser
            .map(|(at, waiter)| (at, share(&waiter.tenant, waiter.weight, 0), waiter.due))
            .max_by(|a, b| a.1.total_cmp(&b.1).then(a.2.total_cmp(&b.2)));
        let Some((at, _, _)) = most.filter(|(_, theirs, _)| *theirs > mine) else { return false };
        let gone = self.waiting.swap_remove(at);
        if let Some(due) = self.turns.get_mut(&gone.tenant) {
            *due -= 1.0 / gone.weight;
        }
        true
    }

    /// Seconds until a newcomer would find the queue shorter, from how long places stay taken.
    fn estimate(&self) -> Duration {
        let places = self.capacity.unwrap_or(1).max(1);
        let seconds = self.stay.max(0.05) * (self.waiting.len() + 1) as f64 / places as f64;
        Duration::from_secs_f64(seconds.min(60.0))
    }

    fn fill(&mut self) {
        while self.has_place() {
            let now = Instant::now();
            let urgency = |waiter: &Waiter| {
                let aged = now.saturating_duration_since(waiter.since).as_secs() / AGEING.as_secs();
                i64::from(waiter.priority) + i64::try_from(aged).unwrap_or(i64::MAX)
            };
            let next = (0..self.waiting.len()).min_by(|a, b| {
                let (a, b) = (&self.waiting[*a], &self.waiting[*b]);
                urgency(b).cmp(&urgency(a)).then(a.due.total_cmp(&b.due)).then(a.id.cmp(&b.id))
            });
            let Some(next) = next else { return };
            let waiter = self.waiting.swap_remove(next);
            self.clock = self.clock.max(waiter.due);
            // One that has just left gives its turn on.
            if waiter.go.send(()).is_ok() {
                self.running += 1;
            }
        }
    }
}

fn weight(rank: &Rank) -> f64 {
    f64::from(rank.weight.max(1))
}

impl Waiting {
    /// Waits for the turn; an error if this one had to make room for another tenant.
    pub(crate) async fn turn(mut self) -> Result<Place, Full> {
        let turn = (&mut self.turn).await;
        self.done = true;
        if turn.is_err() {
            let state = self.admission.lock();
            return Err(Full { waiting: state.waiting.len(), retry: state.estimate() });
        }
        Ok(Place { admission: Arc::clone(&self.admission), since: Instant::now() })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut state = self.admission.lock();
        match state.waiting.iter().position(|waiter| waiter.id == self.id) {
            Some(at) => drop(state.waiting.swap_remove(at)),
            // The turn was given in the moment of leaving.
            None if self.turn.try_recv().is_ok() => {
                state.running -= 1;
                state.fill();
            }
            None => {}
        }
        drop(state);
        self.admission.room.notify_waiters();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.admission.lock();
        let stayed = self.since.elapsed().as_secs_f64();
        state.stay = if state.stay == 0.0 { stayed } else { 0.8 * state.stay + 0.2 * stayed };
        state.running -= 1;
        state.fill();
        drop(state);
        self.admission.room.notify_waiters();
    }
}
