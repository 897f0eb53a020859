//! The bus against a real broker.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at the first surprise")]

mod agents;
mod catalog;
mod deferred;
mod inbox;
mod journal;
mod memory;
mod models;

use bus::{Bus, BusOptions, Connection};
use domain::Plane;
use nats_process::Server;
use std::future::Future;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(15);

async fn connect(server: &Server) -> Bus {
    let connection = Connection { urls: vec![server.url()], name: "test".to_owned(), ..Default::default() };
    bus::connect(&connection, BusOptions { shards: Some(2), replicas: 1 }).await.unwrap()
}

async fn start() -> (Server, Bus, Plane) {
    let server = Server::builder().start().await.unwrap();
    let bus = connect(&server).await;
    (server, bus, Plane::main())
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(WITHIN, what).await.expect("it happens in time")
}
