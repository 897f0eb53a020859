//! What this agent remembers of each container: which start it is and which orders were carried out. All of it is
//! folded from the node's own events, so a restarted agent remembers the same.

use bus::{BusError, Nodes};
use domain::nodes::{ContainerName, ContainerReport, NodeId, OperationEvent, OperationId, Outcome, Phase};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Orders remembered for each container; the stream keeps more.
const RECENT: usize = 256;
/// Containers remembered; beyond that all are forgotten and read again when they are needed.
const CONTAINERS: usize = 4_096;

/// What is remembered of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// The highest generation that was ever ordered.
    pub(crate) newest_generation: Option<u64>,
    /// The last start that was ordered: its generation and the engine's time of it.
    pub(crate) running_since: Option<(u64, String)>,
    ended: VecDeque<(OperationId, Outcome)>,
    begun: Option<Begun>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Begun {
    id: OperationId,
    generation: Option<u64>,
    starts: bool,
    started_at: Option<String>,
}

impl Memory {
    /// Takes in an event.
    pub(crate) fn apply(&mut self, event: &OperationEvent) {
        self.newest_generation = self.newest_generation.max(event.newest_generation);
        match &event.phase {
            Phase::Begun { started_at } => {
                self.begun = Some(Begun {
                    id: event.id.clone(),
                    generation: event.generation,
                    starts: matches!(event.verb.as_str(), "start" | "restart"),
                    started_at: started_at.clone(),
                });
            }
            Phase::Ended { result } => {
                self.running_since.clone_from(&event.running_since);
                self.begun.take_if(|begun| begun.id == event.id);
                if self.ended.len() == RECENT {
                    self.ended.pop_front();
                }
                self.ended.push_back((event.id.clone(), result.clone()));
            }
        }
    }

    /// Whether an order is over.
    pub(crate) fn has_ended(&self, id: &OperationId) -> bool {
        self.ended.iter().any(|(ended, _)| ended == id)
    }

    /// The container's last start when an order was begun that has not ended.
    pub(crate) fn begun_at(&self, id: &OperationId) -> Option<&Option<String>> {
        self.begun.as_ref().filter(|begun| begun.id == *id).map(|begun| &begun.started_at)
    }

    /// Which ordered start a container is. A start that is just under way counts as soon as the engine shows it.
    pub(crate) fn generation_of(&self, container: &ContainerReport) -> Option<u64> {
        let started_at = container.started_at.as_ref()?;
        if let Some((generation, known)) = &self.running_since
            && known == started_at
        {
            return Some(*generation);
        }
        let begun = self.begun.as_ref().filter(|begun| begun.starts && begun.started_at.as_ref() != Some(started_at));
        begun.and_then(|begun| begun.generation)
    }
}

/// What is remembered of all containers of this node.
pub(crate) struct Memories {
    nodes: Nodes,
    node: NodeId,
    known: Mutex<BTreeMap<ContainerName, Memory>>,
}

impl Memories {
    pub(crate) fn new(nodes: Nodes, node: NodeId) -> Self {
        Self { nodes, node, known: Mutex::default() }
    }

    /// What is remembered of a container, read from the stream when it is needed for the first time.
    pub(crate) async fn of(&self, container: &ContainerName) -> Result<Memory, BusError> {
        if let Some(memory) = self.known().get(container) {
            return Ok(memory.clone());
        }
        let mut memory = Memory::default();
        for event in self.nodes.operations(&self.node, container).await? {
            memory.apply(&event);
        }
        // A replica may lag; the leader knows the last one.
        if let Some(last) = self.nodes.last_operation(&self.node, container).await? {
            memory.apply(&last);
        }
        let mut known = self.known();
        if known.len() >= CONTAINERS {
            known.clear();
        }
        Ok(known.entry(container.clone()).or_insert(memory).clone())
    }

    /// Takes in an event that was stored.
    pub(crate) fn apply(&self, event: &OperationEvent) {
        self.known().entry(event.container.clone()).or_default().apply(event);
    }

    /// Says of a container which start it is.
    pub(crate) async fn complete(&self, mut container: ContainerReport) -> Result<ContainerReport, BusError> {
        if let Ok(name) = ContainerName::new(&container.name) {
            container.generation = self.of(&name).await?.generation_of(&container);
        }
        Ok(container)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<ContainerName, Memory>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
