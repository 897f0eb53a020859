//! Holding messages while something takes long, so that no other notifier takes them over.

use bus::{Bus, Held};
use std::future::Future;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Ticks as often as a holder has to show that it lives.
pub(crate) fn beat() -> Interval {
    let mut beat = interval(Bus::SIGN_OF_LIFE);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat
}

/// Runs `work` while showing the broker that the holder of these messages lives.
pub(crate) async fn while_holding<T, O>(messages: &[Held<T>], work: impl Future<Output = O>) -> O {
    let mut beat = beat();
    beat.tick().await;
    let signs = async {
        loop {
            beat.tick().await;
            sign(messages).await;
        }
    };
    // A sign that cannot be sent now, because the broker is away, must not keep the work waiting.
    tokio::select! {
        done = work => done,
        never = signs => never,
    }
}

/// One sign of life for each.
pub(crate) async fn sign<'a, T: 'a>(messages: impl IntoIterator<Item = &'a Held<T>>) {
    for held in messages {
        held.sign_of_life().await;
    }
}
