//! The loop whose order is the correctness argument.
//!
//! 1. The doorbell is a hint. The ledger's head says how far the run's inbox was taken in.
//! 2. What the head owes and this process did not send itself is sent now, before anything else: a crash between an
//!    append and its effects, followed by a step of somebody else, would lose them otherwise.
//! 3. Everything in the inbox behind the head is taken in, in stream order, in one step.
//! 4. The step is appended under the fence. Whoever loses the fence begins again at 1 with the leader's head.
//! 5. Only then are the step's effects performed, and only then is the doorbell acknowledged.
//!
//! What a step seldom awaits, and what is large, is awaited in a box: a future is moved as a whole at each call, with room
//! for everything that it might await.

use crate::effects::{Begun, Slow};
use crate::flows::Flows;
use crate::run::Runner;
use crate::turn::{Input, Step};
use crate::{RunnerError, metrics};
use bus::{BusError, Delivery};
use domain::InboxMessage;
use ledger::{Appended, Head};

/// Fences lost in a row before the doorbell is put back.
const MOST_CONFLICTS: usize = 50;
/// Steps taken under one doorbell before the run has to queue again, for the sake of others.
const MOST_STEPS: usize = 32;

/// How a start looks on the wire.
const START: &[u8] = br#"{"kind":"start""#;

/// What is left to do with a doorbell.
pub(crate) enum Served {
    /// Nothing: acknowledge it.
    Done,
    /// Hold it until this slow effect is done.
    Slow(Box<Begun>),
    /// It is somebody else's, or this process holds its effect already: leave the delivery alone.
    Held,
}

impl Runner {
    /// Takes in everything behind one doorbell.
    pub(crate) async fn serve(&self, bell: &Delivery, poison: Option<String>) -> Result<Served, RunnerError> {
        let _guard = self.locks.lock(&bell.plane, &bell.run).await;
        let mut head = match Self::begins(bell) {
            true => None,
            false => Box::pin(self.ledger(&bell.plane).head(&bell.run)).await?,
        };
        let mut broken = poison;
        for _ in 0..MOST_CONFLICTS {
            match self.attempt(bell, head, broken.as_deref()).await {
                Ok(Some(served)) => return Ok(served),
                Ok(None) => {}
                // Nothing will make this step work, so it ends its run, once.
                Err(error) if !error.is_transient() && broken.is_none() => {
                    broken = Some(format!("StepError: {error}"));
                }
                Err(error) => return Err(error),
            }
            ::metrics::counter!(metrics::FENCES_LOST).increment(1);
            head = Box::pin(self.ledger(&bell.plane).head_at_leader(&bell.run)).await?;
        }
        Err(BusError::Unavailable {
            what: "a ledger append".to_owned(),
            cause: "other runners kept committing first".to_owned(),
        }
        .into())
    }

    /// Whether a run begins here as far as its first delivery tells. Then there is most likely no head to be read; if
    /// there is one, the fence of a first append does not hold.
    fn begins(bell: &Delivery) -> bool {
        bell.delivered == 1 && bell.body.starts_with(START)
    }

    /// One try with a given head; none when the fence was lost.
    async fn attempt(
        &self,
        bell: &Delivery,
        head: Option<Head>,
        broken: Option<&str>,
    ) -> Result<Option<Served>, RunnerError> {
        let mut inputs = Vec::new();
        let (cursor, owner) = match &head {
            None => (0, false),
            Some(head) => {
                if self.owes(bell, head) {
                    inputs.extend(Box::pin(self.resend(bell, head)).await?);
                }
                (head.inbox_cursor, owes_slow(head) && head.doorbell == bell.sequence)
            }
        };
        let lost = head.as_ref().is_some_and(|head| head.delivery > bell.delivery());
        if owner && (lost || self.held.has(bell)) {
            return Ok(Some(Served::Held));
        }
        let fresh = bell.sequence > cursor;
        if fresh || owner {
            let Some(drained) = self.drain(bell, cursor, head.is_none()).await? else {
                return Ok(Some(Served::Held));
            };
            inputs.extend(drained);
        }
        let own = head.as_ref().and_then(|head| self.unstarted(bell, head)).filter(|_| owner);
        let reached = inputs.iter().filter_map(|input| input.sequence).max().unwrap_or(cursor);
        let Some(base) = self.begin(bell, head, &mut inputs).await? else { return Ok(Some(Served::Done)) };
        let step = if let Some(error) = broken.filter(|_| owner || !inputs.is_empty()) {
            Step::Poisoned { error: error.to_owned(), reached, inputs }
        } else if !inputs.is_empty() {
            Step::Inputs { inputs, may_take_over: owner }
        } else if let Some(slow) = own {
            return Ok(Some(self.begin_slow(bell, base.head(), slow)));
        } else if owner {
            Step::TakeOver
        } else {
            return Ok(Some(Served::Done));
        };
        let served = Box::pin(self.run_on(bell, base, step)).await?;
        // A full batch may end before the doorbell's own message: then there is another round.
        Ok(served.filter(|served| reached >= bell.sequence || !matches!(served, Served::Done)))
    }

    /// The slow effect of a head that this very process wrote without ever hearing that it was stored: nobody has begun
    /// it, so it is no new attempt.
    fn unstarted(&self, bell: &Delivery, head: &Head) -> Option<Slow> {
        if !self.wrote(&head.writer) || self.begun.has(&bell.plane, &bell.run, head.sequence) {
            return None;
        }
        head.effects.iter().find_map(Slow::of)
    }

    /// From here on the attempt counts as made, and a further one has to be announced.
    fn begin_slow(&self, bell: &Delivery, head: Option<&Head>, slow: Slow) -> Served {
        if let Some(head) = head {
            self.begun.note(&bell.plane, &bell.run, head.sequence);
        }
        Served::Slow(Box::new(Begun { slow, hold: self.held.hold(bell) }))
    }

    /// Steps until nothing is left that can be done at once.
    async fn run_on(&self, bell: &Delivery, mut base: Base, first: Step) -> Result<Option<Served>, RunnerError> {
        let flows = match Flows::of(&self.bundles, &base.state().source, &base.state().workflow_id).await {
            Err(error) if error.is_transient() => return Err(error),
            flows => flows.map_err(|error| error.to_string()),
        };
        let mut step = first;
        for _ in 0..MOST_STEPS {
            let takes_over = step.may_take_over();
            let Some(done) = self.step(bell, &flows, &base, step)? else { return Ok(Some(Served::Done)) };
            let head = match self.commit(bell, &base, done).await? {
                Appended::Fenced => return Ok(None),
                Appended::Stored(head) => *head,
            };
            let settled = Box::pin(self.settle(bell, &flows, &head)).await?;
            if let Some(slow) = settled.slow {
                return Ok(Some(self.begin_slow(bell, Some(&head), slow)));
            }
            let orphaned = takes_over && owes_slow(&head);
            step = if !settled.results.is_empty() {
                Step::Inputs { inputs: settled.results, may_take_over: false }
            } else if orphaned {
                Step::TakeOver
            } else {
                return Ok(Some(Served::Done));
            };
            base = Base::Head(Box::new(head));
        }
        Box::pin(self.queue_again(bell, &base)).await?;
        Ok(Some(Served::Done))
    }

    /// A run that never waits gives others a turn: the rest of its work goes through its inbox.
    async fn queue_again(&self, bell: &Delivery, base: &Base) -> Result<(), RunnerError> {
        let Base::Head(head) = base else { return Ok(()) };
        let id = format!("continue-{}-{}", bell.run, head.sequence);
        // What the last step brought back (an event's answer, the next stretch) is found again from its head.
        self.send(&bell.plane, &bell.run, &id, &InboxMessage::Continue, &bell.trace).await
    }
}

/// Whether the run waits for a slow effect, which only the holder of its doorbell performs.
fn owes_slow(head: &Head) -> bool {
    head.state.pending.as_ref().is_some_and(|pending| matches!(pending.effect.kind.as_str(), "llm_call" | "tool_calls"))
}

/// What a step is computed from.
pub(crate) enum Base {
    /// A run that exists.
    Head(Box<Head>),
    /// A run that is about to begin.
    New(Box<flow::State>),
}

impl Base {
    pub(crate) fn state(&self) -> &flow::State {
        match self {
            Self::Head(head) => &head.state,
            Self::New(state) => state,
        }
    }

    pub(crate) fn head(&self) -> Option<&Head> {
        match self {
            Self::Head(head) => Some(head),
            Self::New(_) => None,
        }
    }
}

impl Runner {
    /// Everything in the inbox behind the cursor. It must hold the doorbell's own message: if it does not, the replica
    /// that answered is behind, and going on would jump over what lies between.
    /// None when the doorbell was acknowledged by somebody else.
    async fn drain(&self, bell: &Delivery, cursor: u64, first: bool) -> Result<Option<Vec<Input>>, RunnerError> {
        let own = || Input::parse(bell.sequence, &bell.body);
        if first && matches!(own().map(|input| input.message), Some(InboxMessage::Start(_))) {
            // Nothing can lie before the start of a run that has no step yet that would not be refused anyway.
            return Ok(Some(own().into_iter().collect()));
        }
        let inbox = self.bus.inbox(&bell.plane);
        let (pending, more) = Box::pin(inbox.pending(&bell.run, cursor)).await?;
        let seen = pending.iter().any(|message| message.sequence == bell.sequence);
        let beyond = pending.last().is_some_and(|last| last.sequence > bell.sequence);
        if !seen && !beyond && !more && bell.sequence > cursor {
            if !Box::pin(inbox.holds(&bell.run, bell.sequence)).await? {
                return Ok(None);
            }
            return Err(BusError::Unavailable {
                what: "reading an inbox".to_owned(),
                cause: "the replica that answered is behind".to_owned(),
            }
            .into());
        }
        Ok(Some(pending.iter().filter_map(|message| Input::parse(message.sequence, &message.body)).collect()))
    }
}
