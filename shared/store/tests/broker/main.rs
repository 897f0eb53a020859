//! Bundles and the list of runs on a real broker and a real database.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at the first surprise")]

mod bundles;
mod runs;

use bus::{Bus, BusOptions, Connection};
use nats_process::Server;

async fn connect(server: &Server) -> Bus {
    let connection = Connection { urls: vec![server.url()], name: "test".to_owned(), ..Default::default() };
    bus::connect(&connection, BusOptions { shards: Some(2), replicas: 1 }).await.unwrap()
}
