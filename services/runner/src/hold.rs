//! Holding a doorbell while something takes long, so that no other runner takes it over.

use bus::{Bus, Delivery};
use std::future::Future;

/// Runs `work` while showing the broker that the holder of the doorbell lives.
pub(crate) async fn while_holding<T>(delivery: &Delivery, work: impl Future<Output = T>) -> T {
    let mut beat = tokio::time::interval(Bus::SIGN_OF_LIFE);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    beat.tick().await;
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = beat.tick() => delivery.sign_of_life().await,
        }
    }
}
