//! One order from its delivery to its acknowledgement. The order of these steps is the argument that it is carried out
//! once, whatever dies in between:
//!
//! 1. Wait for the turn: orders for one container never overlap.
//! 2. Remember: an order that is over is acknowledged and nothing else; a stale or late one is refused.
//! 3. Store that it is begun, with the container's last start.
//! 4. Carry it out. Each step looks first, so that a second time changes nothing; a restart is known by the last start.
//! 5. Store how it ended. Only then acknowledge.

use crate::containers::{Engine, perform};
use crate::memory::{Memories, Memory};
use crate::rules::{Verdict, allowed, judge};
use crate::{clock, metrics};
use bus::{BusError, Nodes};
use domain::nodes::{
    Definition, Failure, FailureKind, NodeEvent, NodeId, Operation, OperationEvent, Order, Outcome, Phase, What,
};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

/// Carries out orders.
pub(crate) struct Driver {
    pub(crate) node: NodeId,
    pub(crate) nodes: Nodes,
    pub(crate) engine: std::sync::Arc<Engine>,
    pub(crate) memories: std::sync::Arc<Memories>,
    pub(crate) volume_roots: Vec<PathBuf>,
}

impl Driver {
    /// Carries out an order whose turn it is. An error means that the broker did not store what it had to: the order is
    /// delivered again then.
    pub(crate) async fn carry_out(&self, order: &Order) -> Result<(), BusError> {
        let memory = self.memories.of(&order.container).await?;
        let outcome = match judge(&memory, order, clock::now()) {
            Verdict::Known => return Ok(()),
            Verdict::Refuse(failure) => Outcome::Failed { failure },
            Verdict::Perform => match self.refusal(order) {
                Some(failure) => Outcome::Failed { failure },
                None => self.begin_and_perform(order, &memory).await?,
            },
        };
        let verb = order.operation.verb();
        match &outcome {
            Outcome::Done { changed, .. } => {
                tracing::info!(order = %order.id, container = %order.container, verb, changed, "done")
            }
            Outcome::Failed { failure } => {
                tracing::warn!(order = %order.id, container = %order.container, verb, reason = %failure, "not done");
            }
        }
        let word = match &outcome {
            Outcome::Done { .. } => "done",
            Outcome::Failed { failure } => failure.kind.as_str(),
        };
        ::metrics::counter!(metrics::ORDERS, "verb" => verb, "outcome" => word).increment(1);
        self.end(order, outcome).await
    }

    /// Whether this node's rules forbid the order.
    fn refusal(&self, order: &Order) -> Option<Failure> {
        if order.node != self.node {
            let text = format!("the order is for node {}, and this is {}", order.node, self.node);
            return Some(Failure { kind: FailureKind::NotAllowed, text });
        }
        let definition: Option<&Definition> = match &order.operation {
            Operation::Create { definition } => Some(definition),
            Operation::Start { definition } => definition.as_deref(),
            Operation::Stop { .. } | Operation::Restart { .. } | Operation::Inspect | Operation::Remove { .. } => None,
        };
        let text = allowed(definition?, &self.volume_roots).err()?;
        Some(Failure { kind: FailureKind::NotAllowed, text: format!("container {}: {text}", order.container) })
    }

    async fn begin_and_perform(&self, order: &Order, memory: &Memory) -> Result<Outcome, BusError> {
        let begun_before = memory.begun_at(&order.id);
        if begun_before.is_none() {
            let started_at = self.last_start(order).await;
            self.store(order, memory, Phase::Begun { started_at }).await?;
        }
        let left = order.deadline.as_micros().saturating_sub(clock::now().as_micros());
        // What was begun before and is late by now gets a moment: enough to see how the container is.
        let left = Duration::from_micros(u64::try_from(left).unwrap_or(0)).max(Duration::from_secs(2));
        let until = Instant::now() + left;
        Ok(perform(&self.engine, &order.container, &order.operation, begun_before, until).await)
    }

    /// The container's last start. When the engine is away, what was seen last is right: nothing starts without it.
    async fn last_start(&self, order: &Order) -> Option<String> {
        let name = order.container.as_str();
        match self.engine.inspect(name).await {
            Ok(found) => found.and_then(|container| container.started_at),
            Err(_) => {
                let seen = self.engine.watch();
                let seen = seen.borrow();
                seen.containers.values().find(|known| known.name == name)?.started_at.clone()
            }
        }
    }

    /// Stores how an order ended, and fills in which start the container is by now.
    async fn end(&self, order: &Order, mut outcome: Outcome) -> Result<(), BusError> {
        let mut memory = self.memories.of(&order.container).await?;
        if let Outcome::Done { container: Some(container), .. } = &mut outcome {
            let starts = matches!(order.operation, Operation::Start { .. } | Operation::Restart { .. });
            if let (true, Some(generation), Some(started_at)) = (starts, order.generation, &container.started_at) {
                memory.running_since = Some((generation, started_at.clone()));
            }
            container.generation = memory.generation_of(container);
        }
        self.store(order, &memory, Phase::Ended { result: outcome }).await
    }

    async fn store(&self, order: &Order, memory: &Memory, phase: Phase) -> Result<(), BusError> {
        let stage = match &phase {
            Phase::Begun { .. } => "begun",
            Phase::Ended { .. } => "ended",
        };
        let refused = matches!(&phase, Phase::Ended { result: Outcome::Failed { failure } }
            if matches!(failure.kind, FailureKind::Superseded | FailureKind::NotAllowed));
        let event = OperationEvent {
            id: order.id.clone(),
            container: order.container.clone(),
            generation: order.generation,
            verb: order.operation.verb().to_owned(),
            newest_generation: if refused {
                memory.newest_generation
            } else {
                memory.newest_generation.max(order.generation)
            },
            running_since: memory.running_since.clone(),
            phase,
        };
        let what = What::Operation(event.clone());
        let stored = NodeEvent { node: self.node.clone(), at: clock::now(), what };
        self.nodes.record(&format!("{}.{}.{stage}", self.node, order.id), &stored).await?;
        self.memories.apply(&event);
        Ok(())
    }
}
