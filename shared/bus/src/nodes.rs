//! GPU hosts: what each says of itself, what it is told to do, and what became of it.

mod follow;
mod orders;
mod watch;

pub use follow::NodeEvents;
pub(crate) use follow::Tail;
pub use orders::{OrderDelivery, Orders};
pub use watch::{NodeUpdate, NodeWatch};

use crate::batch::Query;
use crate::publish::MESSAGE_ID;
use crate::{Bus, BusError, Inner, streams, subjects};
use async_nats::HeaderMap;
use bytes::Bytes;
use domain::limits;
use domain::nodes::{ContainerName, NodeEvent, NodeId, NodeReport, OperationEvent, Order, What};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Speaks to and for GPU hosts.
#[derive(Clone)]
pub struct Nodes {
    inner: Arc<Inner>,
}

impl Bus {
    /// The GPU hosts.
    pub fn nodes(&self) -> Nodes {
        Nodes { inner: self.inner.clone() }
    }
}

impl Nodes {
    /// Replaces what a node says of itself. Not tried again: the next report is near.
    pub async fn report(&self, report: &NodeReport) -> Result<(), BusError> {
        let what = "a node's report";
        let subject = subjects::node_report(&report.node);
        self.inner.publish(what, subject, HeaderMap::new(), write(what, report)?).await.map(|_| ())
    }

    /// The last reports of all nodes that said anything within a day, by node.
    pub async fn reports(&self) -> Result<Vec<NodeReport>, BusError> {
        let found = self.stored(streams::NODE_REPORTS, "gantry.node.*.report").await?;
        let mut reports: Vec<NodeReport> =
            found.iter().map(|body| read("a node's report", body)).collect::<Result<_, _>>()?;
        reports.sort_by(|a, b| a.node.cmp(&b.node));
        Ok(reports)
    }

    /// Gives an order. Given again with the same id it is carried out once.
    pub async fn order(&self, order: &Order) -> Result<(), BusError> {
        let what = "an order to a node";
        let headers = message_id(order.id.as_str());
        let subject = subjects::node_order(&order.node);
        self.inner.publish_surely(what, &subject, headers, &write(what, order)?).await.map(|_| ())
    }

    /// The orders to one node, for its agent.
    pub fn orders(&self, node: &NodeId) -> Orders {
        Orders::new(self.inner.clone(), node)
    }

    /// Stores an event; its position comes back. The id makes a second one within two minutes harmless.
    pub async fn record(&self, id: &str, event: &NodeEvent) -> Result<u64, BusError> {
        let what = "a node's event";
        let subject = match &event.what {
            What::Operation(operation) => subjects::node_operation(&event.node, &operation.container),
            What::Container(_) => subjects::node_event(&event.node),
        };
        let sent = self.inner.publish_surely(what, &subject, message_id(id), &write(what, event)?).await?;
        Ok(sent.sequence)
    }

    /// What was last done with a container, as the stream's leader knows it.
    pub async fn last_operation(
        &self,
        node: &NodeId,
        container: &ContainerName,
    ) -> Result<Option<OperationEvent>, BusError> {
        let subject = subjects::node_operation(node, container);
        let found = self.inner.last_at_leader(streams::NODE_EVENTS, &subject).await?;
        Ok(found.map(|stored| read_operation(&stored.payload)).transpose()?.flatten())
    }

    /// The last operations with a container, oldest first: some hundred at most.
    pub async fn operations(&self, node: &NodeId, container: &ContainerName) -> Result<Vec<OperationEvent>, BusError> {
        let found = self.stored(streams::NODE_EVENTS, &subjects::node_operation(node, container)).await?;
        let operations = found.iter().map(|body| read_operation(body));
        Ok(operations.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// Follows the reports, and says when a node falls silent.
    pub fn watch(&self) -> NodeWatch {
        NodeWatch::new(self.inner.clone())
    }

    /// Follows the events of all nodes from a position on; 1 is the oldest that is kept.
    pub fn events(&self, from: u64) -> NodeEvents {
        NodeEvents::new(self.inner.clone(), from)
    }

    /// All messages of a filter. Streams of nodes are small, so this is bounded by them.
    async fn stored(&self, stream: &str, filter: &str) -> Result<Vec<Bytes>, BusError> {
        let (mut bodies, mut next) = (Vec::new(), 1);
        loop {
            let query = Query { seq: next, next_by_subj: filter, batch: 256, max_bytes: 2 * limits::MESSAGE_BYTES };
            let (found, more) = self.inner.read(stream, &query).await?;
            next = found.last().map_or(next, |last| last.sequence + 1);
            let any = !found.is_empty();
            bodies.extend(found.into_iter().map(|stored| stored.payload));
            if !(more && any) {
                return Ok(bodies);
            }
        }
    }
}

fn message_id(id: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(MESSAGE_ID, subjects::short(id).as_str());
    headers
}

fn write<T: Serialize>(what: &'static str, value: &T) -> Result<Bytes, BusError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| BusError::corrupt(what, error))
}

fn read<T: DeserializeOwned>(what: &'static str, body: &[u8]) -> Result<T, BusError> {
    serde_json::from_slice(body).map_err(|error| BusError::corrupt(what, error))
}

fn read_operation(body: &[u8]) -> Result<Option<OperationEvent>, BusError> {
    let event: NodeEvent = read("a node's event", body)?;
    Ok(match event.what {
        What::Operation(operation) => Some(operation),
        What::Container(_) => None,
    })
}
