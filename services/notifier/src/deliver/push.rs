//! Pushes one after the other as often as the server takes them; what gathers meanwhile goes out as one.

use super::{Desk, ack_all};
use crate::channels::Attempt;
use crate::channels::limit::Limit;
use crate::channels::ntfy::Ntfy;
use crate::hold::{beat, sign, while_holding};
use crate::metrics;
use crate::rules::combine::combine;
use bus::{BusError, Held};
use domain::notices::{Carried, Notice, Outgoing};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Messages that wait in hand for their turn; the rest waits in the stream.
const IN_HAND: usize = 128;
/// Longest pause after a refusal.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Refusals in a row that are waited out in hand; after them, the messages go back to the broker for later.
const REFUSALS: u32 = 5;

/// Pushes until the service stops.
pub(crate) async fn push_all(
    ntfy: Arc<Ntfy>,
    mut limit: Limit,
    desk: Arc<Desk>,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let mut queue = desk.notices.outgoing(Ntfy::NAME);
    let mut hand: Vec<Held<Outgoing>> = Vec::new();
    let mut refusals = 0;
    let mut beat = beat();
    loop {
        let turn = limit.next();
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                for held in &hand {
                    held.again_in(Duration::ZERO).await;
                }
                return Ok(());
            }
            _ = beat.tick() => sign(&hand).await,
            () = sleep_until(turn), if !hand.is_empty() => {
                let messages: Vec<&Outgoing> = hand.iter().map(|held| &held.value).collect();
                match while_holding(&hand, push(&ntfy, &mut limit, &desk, &messages, refusals)).await {
                    Ok(Pushed::Settled) => {
                        ack_all(&hand).await;
                        hand.clear();
                        refusals = 0;
                    }
                    Ok(Pushed::Limited) => refusals += 1,
                    Err(error) => {
                        tracing::warn!(%error, "what became of a push cannot be written down; it comes again");
                        hand.clear();
                    }
                }
            }
            held = queue.next(), if hand.len() < IN_HAND => hand.push(held),
        }
    }
}

enum Pushed {
    /// What follows is written down.
    Settled,
    /// The server takes no more for now; everything stays in hand.
    Limited,
}

async fn push(
    ntfy: &Ntfy,
    limit: &mut Limit,
    desk: &Desk,
    messages: &[&Outgoing],
    refusals: u32,
) -> Result<Pushed, BusError> {
    let notices: Vec<&Notice> = messages.iter().filter_map(|outgoing| notice(outgoing)).collect();
    let Some(together) = combine(&notices) else { return settle_all(desk, messages, &no_notice()).await };
    if messages.len() > 1 {
        ::metrics::counter!(metrics::GROUPED).increment(messages.len() as u64);
    }
    limit.take(Instant::now());
    match ntfy.push(&together).await {
        Attempt::Limited { after, why } if refusals < REFUSALS => {
            // A server that does not say how long is given twice as long each time.
            let pause = after.unwrap_or(limit.refill() * 2_u32.pow(refusals)).min(LONGEST_PAUSE);
            tracing::info!(why, ?pause, waiting = messages.len(), "the ntfy server takes no more for now");
            limit.shut(Instant::now(), pause);
            messages.iter().for_each(|outgoing| desk.count(outgoing, "limited"));
            Ok(Pushed::Limited)
        }
        attempt @ (Attempt::Delivered
        | Attempt::Later { .. }
        | Attempt::Limited { .. }
        | Attempt::Never { .. }
        | Attempt::Gone { .. }) => settle_all(desk, messages, &attempt).await,
    }
}

async fn settle_all(desk: &Desk, messages: &[&Outgoing], attempt: &Attempt) -> Result<Pushed, BusError> {
    for outgoing in messages {
        let attempt = if notice(outgoing).is_some() { attempt.clone() } else { no_notice() };
        desk.settle(outgoing, attempt).await?;
    }
    Ok(Pushed::Settled)
}

fn notice(outgoing: &Outgoing) -> Option<&Notice> {
    match &outgoing.carried {
        Carried::Notice(notice) => Some(notice),
        Carried::Callback(_) => None,
    }
}

fn no_notice() -> Attempt {
    Attempt::Never { why: "a push carries notices alone".to_owned() }
}
