//! Effects that take long: performed outside the step, answered through the inbox.

use domain::Object;
use flow::Effect;

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
