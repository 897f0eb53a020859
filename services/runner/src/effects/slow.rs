//! Effects that take long: performed outside the step, answered through the inbox.

use crate::RunnerError;
use crate::hold::{Hold, while_holding};
use crate::run::Runner;
use bus::Delivery;
use domain::{InboxMessage, Object};
use flow::Effect;
use service::Tasks;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// How long a result is kept while the broker does not take it. A model's answer is paid for.
const KEEP_RESULT: Duration = Duration::from_secs(60);

/// A slow effect that this process is about to perform, and its claim on the doorbell.
pub(crate) struct Begun {
    pub(crate) slow: Slow,
    pub(crate) hold: Hold,
}

/// A model call that is owed.
#[derive(Clone, Debug)]
pub(crate) struct Slow {
    /// Idempotency key.
    pub(crate) key: String,
    /// The attempt.
    pub(crate) attempt: u32,
    /// The payload as recorded.
    pub(crate) request: Object,
}

impl Slow {
    pub(crate) fn of(effect: &Effect) -> Option<Self> {
        match effect {
            Effect::CallModel { key, attempt, request } | Effect::CallTools { key, attempt, request } => {
                Some(Self { key: key.clone(), attempt: *attempt, request: request.clone() })
            }
            Effect::EmitEvent { .. }
            | Effect::DeliverEvent { .. }
            | Effect::StartChild { .. }
            | Effect::ArmTimer { .. }
            | Effect::CancelTimer { .. }
            | Effect::ReportEnd { .. }
            | Effect::ForwardCommand { .. }
            | Effect::Continue => None,
        }
    }

    /// The id under which the answer is sent: the same attempt answers once.
    pub(crate) fn message_id(&self) -> String {
        format!("done-{}-{}", self.key, self.attempt)
    }
}

impl Runner {
    /// Performs a slow effect while holding its doorbell; the result goes to the run's inbox before the doorbell is
    /// let go. A runner that is stopped gives the doorbell back at once.
    pub(crate) fn perform_slow(self: Arc<Self>, bell: Delivery, begun: Begun, tasks: &Tasks) {
        let stop = tasks.stop_token();
        let span = tracing::Span::current();
        let work = async move {
            let Begun { slow, hold } = begun;
            let result = tokio::select! {
                result = while_holding(&bell, self.result(&slow)) => Some(result),
                () = stop.cancelled() => None,
            };
            let reported = match result {
                Some(message) => while_holding(&bell, self.report(&bell, &slow, message)).await.map(|()| true),
                None => Ok(false),
            };
            drop(hold);
            match &reported {
                Ok(true) if self.still_owns(&bell).await => self.done(&bell).await,
                Ok(true) => {}
                Ok(false) | Err(_) => bell.again_in(Duration::ZERO).await,
            }
            reported.map(|_| ())
        };
        tasks.request("slow-effect", work.instrument(span));
    }

    async fn result(&self, slow: &Slow) -> InboxMessage {
        let _permit = self.slow.acquire().await;
        self.model.perform(slow).await
    }

    /// Puts the result into the run's inbox. One that cannot be sent at all is replaced by the reason.
    async fn report(&self, bell: &Delivery, slow: &Slow, mut message: InboxMessage) -> Result<(), RunnerError> {
        let until = Instant::now() + KEEP_RESULT;
        let mut refused = false;
        loop {
            match self.send(&bell.plane, &bell.run, &slow.message_id(), &message, &bell.trace).await {
                Err(error) if error.is_transient() && Instant::now() < until => {
                    tracing::debug!(%error, "a result is sent again");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) if !error.is_transient() && !refused => {
                    refused = true;
                    let outcome = Err(format!("the result cannot be stored: {error}"));
                    message = InboxMessage::EffectDone { key: slow.key.clone(), attempt: slow.attempt, outcome };
                }
                sent => return sent,
            }
        }
    }

    /// Whether the doorbell is still this process's to acknowledge. Another runner that has taken it over meanwhile
    /// needs it: were it gone and that runner died, nobody would hear of the run again.
    async fn still_owns(&self, bell: &Delivery) -> bool {
        match self.ledger(&bell.plane).head_at_leader(&bell.run).await {
            Ok(Some(head)) => head.doorbell != bell.sequence || head.delivery <= bell.delivery(),
            Ok(None) => true,
            // In doubt it rings once more.
            Err(_) => false,
        }
    }
}
