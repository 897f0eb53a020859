//! Joining a broker that others provision, with the few rights that an agent on a GPU host has.

use crate::connect::{check_version, open};
use crate::streams::Layout;
use crate::{Bus, BusError, Connection, Inner};
use async_nats::jetstream;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OnceCell, watch};

/// Connects and checks the server, and makes nothing: the streams are there once any other service has connected. The
/// layout is not known here, so of all that a bus can do only [`Bus::nodes`] is to be used.
pub async fn attach(connection: &Connection) -> Result<Bus, BusError> {
    let (connects, watcher) = watch::channel(0_u64);
    let client = open(connection, connects).await?;
    let js = jetstream::ContextBuilder::new().timeout(Duration::from_secs(5)).build(client.clone());
    check_version(&client, &js, connection).await?;
    let layout = Layout { shards: 1, replicas: 1 };
    Ok(Bus { inner: Arc::new(Inner { client, js, layout, blobs: OnceCell::new(), connects: watcher }) })
}
