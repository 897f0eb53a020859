//! An agent needs no rights but those to its own subjects.

use crate::engine::{Cleanup, shared};
use crate::host::{Host, config, done, start};
use bus::{BusOptions, Connection};
use domain::nodes::NodeId;
use nats_process::Server;

/// The users that are shipped; the agent's is that of the node gpu-1.
const ACCOUNTS: &str = include_str!("../../../../nats/accounts.conf");

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_works_with_rights_to_its_own_subjects_alone() {
    let (address, _docker) = shared().await;
    let accounts = ["", "_TAP", "_AGENT"].into_iter().fold(ACCOUNTS.to_owned(), |text, user| {
        text.replace(&format!("$GANTRY_NATS{user}_PASSWORD"), &format!("password{user}"))
    });
    let server = Server::builder().accounts(accounts).start().await.unwrap();
    let connection = |user: &str, password: &str| Connection {
        urls: vec![server.url()],
        name: user.to_owned(),
        user: Some(user.to_owned()),
        password: Some(password.to_owned().into()),
        ..Default::default()
    };
    let owner =
        bus::connect(&connection("gantry", "password"), BusOptions { shards: Some(1), replicas: 1 }).await.unwrap();
    let agent =
        bus::attach(&connection("agent-gpu-1", "password_AGENT"), &NodeId::new("gpu-1").unwrap()).await.unwrap();
    let name = "gantry-test-rights";
    let _cleanup = Cleanup { address: address.clone(), container: name.to_owned() };
    let mut host = Host::on(server, owner, agent.clone(), config(&address));
    host.report("the node", |_| true).await;
    assert!(done(host.carry_out("a", name, Some(1), start(&["sleep"])).await).0);

    let mut stranger = host.report("the node", |_| true).await;
    stranger.node = NodeId::new("gpu-2").unwrap();
    assert!(agent.nodes().report(&stranger).await.is_err(), "another node's report");
    assert_eq!(host.bus.nodes().reports().await.unwrap().len(), 1);
}
