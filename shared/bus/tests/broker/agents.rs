//! The agent of a GPU host, with the rights of the user that is shipped for it.

use crate::soon;
use bus::{BusError, BusOptions, Connection};
use domain::nodes::{
    ContainerName, NodeEvent, NodeId, Operation, OperationEvent, OperationId, Order, Outcome, Phase, What,
};
use domain::{Plane, RunId, Time};
use nats_process::Server;

const ACCOUNTS: &str = include_str!("../../../../nats/accounts.conf");

fn order(id: &str, node: &str) -> Order {
    Order {
        id: OperationId::new(id),
        node: NodeId::new(node).unwrap(),
        container: ContainerName::new("worker").unwrap(),
        generation: Some(1),
        deadline: Time::from_micros(1),
        operation: Operation::Stop { grace_ms: 0 },
    }
}

fn event(node: &str) -> NodeEvent {
    let phase = Phase::Ended { result: Outcome::Done { changed: true, container: None } };
    let (id, container) = (OperationId::new("a"), ContainerName::new("worker").unwrap());
    let verb = "stop".to_owned();
    let what = OperationEvent {
        id,
        container,
        generation: Some(1),
        verb,
        newest_generation: None,
        running_since: None,
        phase,
    };
    NodeEvent { node: NodeId::new(node).unwrap(), at: Time::from_micros(1), what: What::Operation(what) }
}

#[tokio::test]
async fn the_shipped_user_of_an_agent_suffices_for_its_node_and_for_nothing_else() {
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
    let owner = connection("gantry", "password");
    let owner = bus::connect(&owner, BusOptions { shards: Some(1), replicas: 1 }).await.unwrap();
    let node = NodeId::new("gpu-1").unwrap();
    let agent = bus::attach(&connection("agent-gpu-1", "password_AGENT"), &node).await.unwrap();

    owner.nodes().order(&order("other", "gpu-2")).await.unwrap();
    owner.nodes().order(&order("own", "gpu-1")).await.unwrap();
    let delivered = soon(agent.nodes().orders(&node).next()).await;
    assert_eq!(delivered.order.id.as_str(), "own", "another node's order is none of its");
    delivered.ack().await;
    agent.nodes().record("a", &event("gpu-1")).await.unwrap();
    let worker = ContainerName::new("worker").unwrap();
    assert!(agent.nodes().last_operation(&node, &worker).await.unwrap().is_some());
    assert_eq!(agent.nodes().operations(&node, &worker).await.unwrap().len(), 1);

    // What it may not do is not answered.
    let refused = |error: Option<BusError>| error.is_some_and(|error| error.is_transient());
    let within = std::time::Duration::from_secs(1);
    let forged = tokio::time::timeout(within, agent.nodes().order(&order("forged", "gpu-2"))).await;
    assert!(forged.map_or(true, |sent| sent.is_err()), "an order to another node");
    let run = RunId::new("00000000-0000-4000-8000-000000000000");
    assert!(refused(agent.journal(&Plane::main()).last_at_leader(&run).await.err()), "a ledger");
}
