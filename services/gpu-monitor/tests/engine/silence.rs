//! A node reports while its agent lives and is called silent when it does not.

use crate::host::{Host, SOON, config};
use bus::NodeUpdate;
use domain::nodes::{Devices, EngineReport};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_gpu_and_engine_says_so_and_is_silent_once_its_agent_is_gone() {
    let mut host = Host::start(config("unix:///nowhere/docker.sock")).await;
    let report = host.report("the node", |_| true).await;
    let Devices::Absent { because } = &report.devices else { panic!("{report:#?}") };
    assert!(because.contains("GANTRY_GPU_SOURCE") || because.contains("not looked"), "{because}");
    let down = host.report("no engine", |report| match &report.engine {
        EngineReport::Down { because } => because.contains("/nowhere/docker.sock"),
        EngineReport::Up { .. } => false,
    });
    assert!(down.await.system_total_mb.value().is_some_and(|mb| *mb > 0));

    let mut watch = host.bus.nodes().watch();
    assert!(matches!(watch.next().await, NodeUpdate::Report(_)));
    host.kill_agent().await;
    let silent = async {
        loop {
            if let NodeUpdate::Silent { node } = watch.next().await {
                return node;
            }
        }
    };
    assert_eq!(tokio::time::timeout(SOON, silent).await.unwrap(), host.config.node);
    host.start_agent();
    let back = tokio::time::timeout(SOON, watch.next()).await.unwrap();
    assert!(matches!(back, NodeUpdate::Report(_)), "a new report ends the silence");
    assert_eq!(host.bus.nodes().reports().await.unwrap().len(), 1);
}
