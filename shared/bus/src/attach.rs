//! Joining a broker that others provision, with the few rights that an agent on a GPU host has.

use crate::connect::{ANSWER, check_version, context, open};
use crate::streams::Layout;
use crate::{Bus, BusError, Connection, Inner, subjects};
use domain::nodes::NodeId;
use std::sync::Arc;
use tokio::sync::{OnceCell, watch};

/// Connects a node's agent and checks the server, and makes nothing: the streams are there once any other service has
/// connected. Answers come under a prefix of the node's own, so that its user needs no right to those of others. The
/// layout is not known here, so of all that a bus can do only [`Bus::nodes`] is to be used.
pub async fn attach(connection: &Connection, node: &NodeId) -> Result<Bus, BusError> {
    let (connects, watcher) = watch::channel(0_u64);
    let client = open(connection, Some(subjects::node_inbox(node)), connects).await?;
    let js = context(&client, ANSWER);
    check_version(&client, &js, connection).await?;
    let layout = Layout { shards: 1, replicas: 1 };
    Ok(Bus { inner: Arc::new(Inner { client, js, layout, blobs: OnceCell::new(), connects: watcher }) })
}
