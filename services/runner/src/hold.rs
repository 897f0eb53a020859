//! Holding a doorbell while something takes long, so that no other runner takes it over.

use bus::{Bus, Delivery};
use domain::Plane;
use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

/// Runs `work` while showing the broker that the holder of the doorbell lives.
pub(crate) async fn while_holding<T>(delivery: &Delivery, work: impl Future<Output = T>) -> T {
    // Not one that begins now: a timer that is due already takes a millisecond or two to say so.
    let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + Bus::SIGN_OF_LIFE, Bus::SIGN_OF_LIFE);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let signs = async {
        loop {
            beat.tick().await;
            delivery.sign_of_life().await;
        }
    };
    // A sign that cannot be sent now, because the broker is away, must not keep the work waiting.
    tokio::select! {
        done = work => done,
        never = signs => never,
    }
}

type Key = (Plane, String, u64);

/// Doorbells that this process holds for slow effects.
#[derive(Clone, Default)]
pub(crate) struct Held {
    bells: Arc<Mutex<HashSet<Key>>>,
}

/// A doorbell is held while this lives, however its task ends.
pub(crate) struct Hold {
    held: Held,
    key: Key,
}

impl Held {
    fn key(bell: &Delivery) -> Key {
        (bell.plane.clone(), bell.run.to_string(), bell.sequence)
    }

    pub(crate) fn hold(&self, bell: &Delivery) -> Hold {
        let key = Self::key(bell);
        self.bells.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        Hold { held: self.clone(), key }
    }

    pub(crate) fn has(&self, bell: &Delivery) -> bool {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner).contains(&Self::key(bell))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.bells.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
