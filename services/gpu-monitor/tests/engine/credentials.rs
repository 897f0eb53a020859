//! An agent needs no rights but those to its own subjects.

use crate::engine::{Cleanup, shared};
use crate::host::{Host, config, done, start};
use bus::{BusOptions, Connection};
use nats_process::Server;

/// The users: one that owns everything, and the agent of one node.
const ACCOUNTS: &str = r#"
authorization {
  users: [
    { user: gantry, password: all }
    {
      user: agent
      password: own
      permissions: {
        publish: { allow: [
          "gantry.node.gpu-1.report", "gantry.node.gpu-1.event", "gantry.node.gpu-1.operation.*",
          "$JS.API.INFO",
          "$JS.API.CONSUMER.INFO.GANTRY_NODE_ORDERS.agent-gpu-1",
          "$JS.API.CONSUMER.CREATE.GANTRY_NODE_ORDERS.agent-gpu-1.gantry.node.gpu-1.order",
          "$JS.API.CONSUMER.MSG.NEXT.GANTRY_NODE_ORDERS.agent-gpu-1",
          "$JS.ACK.GANTRY_NODE_ORDERS.agent-gpu-1.>",
          "$JS.API.DIRECT.GET.GANTRY_NODE_EVENTS",
          "$JS.API.STREAM.MSG.GET.GANTRY_NODE_EVENTS",
        ] }
        subscribe: { allow: ["_INBOX.>"] }
      }
    }
  ]
}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_works_with_rights_to_its_own_subjects_alone() {
    let (address, _docker) = shared().await;
    let server = Server::builder().accounts(ACCOUNTS).start().await.unwrap();
    let connection = |user: &str, password: &str| Connection {
        urls: vec![server.url()],
        name: user.to_owned(),
        user: Some(user.to_owned()),
        password: Some(password.to_owned().into()),
        ..Default::default()
    };
    let owner = bus::connect(&connection("gantry", "all"), BusOptions { shards: Some(1), replicas: 1 }).await.unwrap();
    let agent = bus::attach(&connection("agent", "own")).await.unwrap();
    let name = "gantry-test-rights";
    let _cleanup = Cleanup { address: address.clone(), container: name.to_owned() };
    let mut host = Host::on(server, owner, agent.clone(), config(&address));
    host.report("the node", |_| true).await;
    assert!(done(host.carry_out("a", name, Some(1), start(&["sleep"])).await).0);

    let mut stranger = host.report("the node", |_| true).await;
    stranger.node = domain::nodes::NodeId::new("gpu-2").unwrap();
    assert!(agent.nodes().report(&stranger).await.is_err(), "another node's report");
    assert_eq!(host.bus.nodes().reports().await.unwrap().len(), 1);
}
