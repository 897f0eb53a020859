//! Delivers what a channel was given: attempt, then write down what follows from it, then acknowledge. Whoever dies in
//! between makes the same message come again, under the same id.

mod push;

pub(crate) use push::push_all;

use crate::channels::{Attempt, Channel};
use crate::clock::now;
use crate::hold::while_holding;
use crate::metrics;
use crate::rules::retry::Schedule;
use bus::{BusError, Held, Notices};
use domain::notices::{DeadLetter, Outgoing};
use service::Tasks;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;

/// Messages that one channel delivers at once.
const AT_ONCE: usize = 16;

/// Writes down what becomes of attempts.
pub(crate) struct Desk {
    pub(crate) notices: Notices,
    pub(crate) retry: Schedule,
}

/// Delivers a channel's messages, several at once, until the service stops.
pub(crate) async fn post_all(channel: Arc<dyn Channel>, desk: Arc<Desk>, tasks: Tasks) -> Result<(), Infallible> {
    let stop = tasks.stop_token();
    let mut queue = desk.notices.outgoing(channel.name());
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return Ok(()) };
        let held = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            held = queue.next() => held,
        };
        let (channel, desk) = (channel.clone(), desk.clone());
        tasks.request("delivery", async move {
            let held = [held];
            let settled = while_holding(&held, deliver(&*channel, &desk, &held[0].value)).await;
            if settled.is_ok() {
                held[0].ack().await;
            }
            drop(permit);
            settled
        });
    }
}

async fn deliver(channel: &dyn Channel, desk: &Desk, outgoing: &Outgoing) -> Result<(), BusError> {
    if let Some(target) = channel.target()
        && let Some(because) = desk.notices.disabled(target).await?
    {
        return desk.give_up(outgoing, format!("its target is disabled: {because}")).await;
    }
    let began = Instant::now();
    let attempt = channel.attempt(outgoing).await;
    ::metrics::histogram!(metrics::DELIVERY_SECONDS, "channel" => channel.name().to_owned())
        .record(began.elapsed().as_secs_f64());
    if let (Attempt::Gone { why }, Some(target)) = (&attempt, channel.target()) {
        tracing::warn!(channel = channel.name(), why, "the target wants nothing any more and is disabled");
        desk.notices.disable(target, why).await?;
    }
    desk.settle(outgoing, attempt).await
}

impl Desk {
    /// Writes down what follows from an attempt; only then its message may be acknowledged.
    pub(crate) async fn settle(&self, outgoing: &Outgoing, attempt: Attempt) -> Result<(), BusError> {
        match attempt {
            Attempt::Delivered => {
                self.count(outgoing, "delivered");
                Ok(())
            }
            Attempt::Later { why, after } | Attempt::Limited { why, after } => {
                let next = outgoing.after_failure(why.clone());
                let Some(wait) = self.retry.wait(next.attempts, after, &next.id) else {
                    let why = format!("{why} (after {} attempts)", next.attempts);
                    return self.give_up(outgoing, why).await;
                };
                tracing::debug!(channel = outgoing.channel, id = outgoing.id, why, ?wait, "tried again later");
                self.count(outgoing, "later");
                let micros = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
                self.notices.send_at(&next, now().plus_micros(micros)).await
            }
            Attempt::Never { why } | Attempt::Gone { why } => self.give_up(outgoing, why).await,
        }
    }

    async fn give_up(&self, outgoing: &Outgoing, why: String) -> Result<(), BusError> {
        tracing::warn!(channel = outgoing.channel, id = outgoing.id, why, "a message is given up: it is a dead letter");
        self.count(outgoing, "given_up");
        self.notices.bury(&DeadLetter { at: now(), error: why, outgoing: outgoing.clone() }).await
    }

    pub(crate) fn count(&self, outgoing: &Outgoing, outcome: &'static str) {
        ::metrics::counter!(metrics::DELIVERIES, "channel" => outgoing.channel.clone(), "outcome" => outcome)
            .increment(1);
    }
}

/// Acknowledges all.
pub(crate) async fn ack_all<T>(messages: &[Held<T>]) {
    for held in messages {
        held.ack().await;
    }
}
