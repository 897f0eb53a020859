//! The engine ends and comes back: the agent says so, waits for it, and goes on.

use crate::engine::Private;
use crate::host::{Host, config, done, failed, now, start};
use domain::Time;
use domain::nodes::{EngineReport, FailureKind, Operation};

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_restarts_is_found_again_and_an_order_given_meanwhile_is_carried_out() {
    let mut engine = Private::start().await;
    let mut host = Host::start(config(&engine.address())).await;
    let name = "gantry-test-restart";
    let before = done(host.carry_out("a", name, Some(1), start(&["sleep"])).await).1.unwrap();
    assert!(before.state.is_up());

    engine.stop().await;
    let down = host.report("the lost engine", |report| matches!(report.engine, EngineReport::Down { .. })).await;
    let EngineReport::Down { because } = &down.engine else { panic!("{down:#?}") };
    assert!(!because.is_empty());
    let mut hasty = host.order("hasty", name, Some(2), Operation::Start { definition: None });
    hasty.deadline = Time::from(now()).plus_micros(3_000_000);
    host.bus.nodes().order(&hasty).await.unwrap();
    assert_eq!(failed(host.outcome("hasty").await).kind, FailureKind::EngineUnreachable);
    let patient = host.order("patient", name, Some(3), Operation::Start { definition: None });
    host.bus.nodes().order(&patient).await.unwrap();
    host.begun("patient").await;

    engine.start_again().await;
    let (changed, container) = done(host.outcome("patient").await);
    let container = container.unwrap();
    assert!(changed && container.state.is_up());
    assert_eq!((container.id, container.generation), (before.id, Some(3)));
    host.report("the engine and the container", |report| {
        report.engine.containers().iter().any(|known| known.name == name && known.generation == Some(3))
    })
    .await;
    engine.stop().await;
}
