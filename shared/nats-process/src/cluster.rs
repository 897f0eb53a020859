//! Several servers on one machine that form a cluster, for tests of replicated streams.

use std::time::Duration;

use crate::binary::{Binary, Search};
use crate::config::{Member, SyncInterval};
use crate::error::StartError;
use crate::ports;
use crate::server::Server;

/// A cluster of servers, each with a temporary store.
#[derive(Debug)]
pub struct Cluster {
    servers: Vec<Server>,
}

impl Cluster {
    /// Starts `size` servers named `n1`, `n2` and so on, found where [`Search::default`] looks.
    ///
    /// # Errors
    /// As [`crate::Builder::start`].
    pub async fn start(size: usize) -> Result<Self, StartError> {
        Self::start_with(size, Binary::find(&Search::default()).await?).await
    }

    /// Starts `size` servers from a program found before, and waits until they have elected a leader.
    ///
    /// # Errors
    /// As [`crate::Builder::start`].
    pub async fn start_with(size: usize, binary: Binary) -> Result<Self, StartError> {
        let mut route_ports: Vec<u16> = Vec::with_capacity(size);
        while route_ports.len() < size {
            let port = ports::free().map_err(StartError::file("find a free port for", "a cluster route"))?;
            if !route_ports.contains(&port) {
                route_ports.push(port);
            }
        }
        let mut servers = Vec::with_capacity(size);
        for (index, route_port) in route_ports.iter().enumerate() {
            let member =
                Member { cluster: "gantry".to_owned(), route_port: *route_port, route_ports: route_ports.clone() };
            let builder = Server::builder().server_name(format!("n{}", index + 1)).binary(binary.clone());
            let builder = builder.durability(SyncInterval::Every(Duration::from_secs(1))).cluster(member);
            servers.push(builder.launch().await?);
        }
        for server in &mut servers {
            server.ready().await?;
        }
        Ok(Self { servers })
    }

    /// The addresses of all members, for a client that knows them all.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.servers.iter().map(Server::url).collect()
    }

    /// The members, to kill and restart them.
    pub fn servers(&mut self) -> &mut [Server] {
        &mut self.servers
    }

    /// The member with this name, as a stream's information names its leader.
    pub fn member(&mut self, name: &str) -> Option<&mut Server> {
        self.servers.iter_mut().find(|server| server.name() == name)
    }

    /// Ends every member in order.
    pub async fn stop(&mut self) {
        for server in &mut self.servers {
            server.stop().await;
        }
    }
}
