//! Pure decisions of the agent: what a definition may ask for, whether an order is carried out, and which reports are
//! worth sending.

mod allowed;
mod worth;

pub(crate) use allowed::allowed;
pub(crate) use worth::is_worth_telling;

use crate::memory::Memory;
use domain::Time;
use domain::nodes::{Failure, FailureKind, Order};

/// What is done with an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is over already.
    Known,
    /// It is not carried out.
    Refuse(Failure),
    /// It is carried out.
    Perform,
}

/// Whether an order is carried out.
pub(crate) fn judge(memory: &Memory, order: &Order, now: Time) -> Verdict {
    if memory.has_ended(&order.id) {
        return Verdict::Known;
    }
    let refuse = |kind, text: String| Verdict::Refuse(Failure { kind, text });
    let (verb, container) = (order.operation.verb(), &order.container);
    if let (Some(generation), Some(newest)) = (order.generation, memory.newest_generation)
        && generation < newest
    {
        let text =
            format!("{verb} {container}: it belongs to start {generation}, and start {newest} was ordered since");
        return refuse(FailureKind::Superseded, text);
    }
    // One that was begun is finished even if its time is up: how the container is now has to be told.
    if order.deadline <= now && memory.begun_at(&order.id).is_none() {
        let text = format!("{verb} {container}: the order came after its deadline {}", order.deadline);
        return refuse(FailureKind::Expired, text);
    }
    Verdict::Perform
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::nodes::{ContainerName, NodeId, Operation, OperationEvent, OperationId, Outcome, Phase};

    fn order(id: &str, generation: Option<u64>) -> Order {
        Order {
            id: OperationId::new(id),
            node: NodeId::new("n1").unwrap(),
            container: ContainerName::new("web").unwrap(),
            generation,
            deadline: Time::from_micros(1_000),
            operation: Operation::Stop { grace_ms: 0 },
        }
    }

    fn event(id: &str, generation: u64, phase: Phase) -> OperationEvent {
        OperationEvent {
            id: OperationId::new(id),
            container: ContainerName::new("web").unwrap(),
            generation: Some(generation),
            verb: "start".to_owned(),
            newest_generation: Some(generation),
            running_since: None,
            phase,
        }
    }

    #[test]
    fn an_order_is_carried_out_once_in_time_and_only_for_the_newest_start() {
        let mut memory = Memory::default();
        let early = Time::from_micros(999);
        assert_eq!(judge(&memory, &order("a", Some(2)), early), Verdict::Perform);
        memory.apply(&event("a", 2, Phase::Ended { result: Outcome::Done { changed: true, container: None } }));
        assert_eq!(judge(&memory, &order("a", Some(2)), early), Verdict::Known);
        let kind = |verdict: Verdict| match verdict {
            Verdict::Refuse(failure) => Some(failure.kind),
            Verdict::Known | Verdict::Perform => None,
        };
        assert_eq!(kind(judge(&memory, &order("b", Some(1)), early)), Some(FailureKind::Superseded));
        assert_eq!(judge(&memory, &order("b", Some(2)), early), Verdict::Perform);
        assert_eq!(judge(&memory, &order("b", None), early), Verdict::Perform);
        assert_eq!(kind(judge(&memory, &order("b", Some(3)), Time::from_micros(1_000))), Some(FailureKind::Expired));
    }

    #[test]
    fn an_order_that_was_begun_is_finished_after_its_deadline() {
        let mut memory = Memory::default();
        memory.apply(&event("a", 1, Phase::Begun { started_at: None }));
        assert_eq!(judge(&memory, &order("a", Some(1)), Time::from_micros(5_000)), Verdict::Perform);
    }
}
