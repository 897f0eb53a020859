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
use domain::notices::{DeadLetter, DisabledChannel, Outgoing};
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
    if channel.target().is_some()
        && let Some(disabled) = desk.notices.disabled(channel.name()).await?
    {
        let why = format!("its target is disabled: {}; see `gantry notices targets`", disabled.because);
        return desk.give_up(outgoing, why).await;
    }
    let began = Instant::now();
    let attempt = channel.attempt(outgoing).await;
    ::metrics::histogram!(metrics::DELIVERY_SECONDS, "channel" => channel.name().to_owned())
        .record(began.elapsed().as_secs_f64());
    if let (Attempt::Gone { why }, Some(target)) = (&attempt, channel.target()) {
        tracing::warn!(channel = channel.name(), why, "the target wants nothing any more and is disabled");
        let (channel, because) = (channel.name().to_owned(), why.clone());
        desk.notices.disable(&DisabledChannel { channel, target: origin(target), because, at: now() }).await?;
    }
    desk.settle(outgoing, attempt).await
}

/// Scheme, host and port of an address: its path and query may hold a key.
fn origin(url: &str) -> String {
    let behind_scheme = url.find("://").map_or(0, |at| at + 3);
    let end = url[behind_scheme..].find(['/', '?', '#']).map_or(url.len(), |at| behind_scheme + at);
    let user = url[behind_scheme..end].rfind('@').map_or(behind_scheme, |at| behind_scheme + at + 1);
    format!("{}{}", &url[..behind_scheme], &url[user..end])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_nothing_is_kept_that_may_be_a_key() {
        for (url, kept) in [
            ("https://hooks.example.com/services/T0/KEY?x=1", "https://hooks.example.com"),
            ("http://user:secret@10.0.0.1:8080", "http://10.0.0.1:8080"),
            ("http://[::1]:9/x@y", "http://[::1]:9"),
            ("https://a.b?key=c", "https://a.b"),
        ] {
            assert_eq!(origin(url), kept);
        }
    }
}
