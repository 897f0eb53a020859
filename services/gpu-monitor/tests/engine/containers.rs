//! What containers do by themselves is told as it happens, and memory is attributed to them.

use crate::engine::{Cleanup, shared};
use crate::host::{Host, config, done, start};
use domain::nodes::{Cause, ContainerState, Devices, NodeReport, Operation, Owner, ProcessKind, Reading, SourceKind};
use gpu_monitor::devices::{Choice, Frame, RawProcess, simulated};
use std::io::Write;

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_ends_by_itself_is_told_with_its_code_and_start() {
    let (address, _docker) = shared().await;
    let mut host = Host::start(config(&address)).await;
    let name = "gantry-test-ends";
    let _cleanup = Cleanup { address, container: name.to_owned() };
    done(host.carry_out("a", name, Some(9), start(&["exit", "3", "300"])).await);
    let ended = host.change("the end", |change| change.container.name == name && change.cause == Cause::Exited).await;
    assert!(matches!(ended.container.state, ContainerState::Exited { code: 3, out_of_memory: false, at: Some(_) }));
    assert_eq!(ended.container.generation, Some(9));
    let started = host.change("the start", |change| change.container.name == name && change.cause == Cause::Started);
    assert_eq!(started.await.container.generation, Some(9), "a start under way is known as the order's");
    host.report("the end", |report| {
        report.engine.containers().iter().any(|container| {
            container.name == name && matches!(container.state, ContainerState::Exited { code: 3, .. })
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_a_person_starts_is_told_without_a_generation() {
    let (address, docker) = shared().await;
    let mut host = Host::start(config(&address)).await;
    let name = "gantry-test-person";
    let _cleanup = Cleanup { address, container: name.to_owned() };
    done(host.carry_out("a", name, Some(1), start(&["sleep"])).await);
    done(host.carry_out("b", name, Some(1), Operation::Stop { grace_ms: 0 }).await);
    docker.start_container(name, None).await.unwrap();
    let by_person = |change: &domain::nodes::ContainerEvent| {
        change.container.name == name && change.cause == Cause::Started && change.container.generation.is_none()
    };
    host.change("the person's start", by_person).await;
    host.report("the person's start", |report| {
        let mut ours = report.engine.containers().iter().filter(|container| container.name == name);
        ours.any(|container| container.state.is_up() && container.generation.is_none())
    })
    .await;
    docker.pause_container(name).await.unwrap();
    host.change("the pause", |change| change.container.state == ContainerState::Paused).await;
    docker.unpause_container(name).await.unwrap();
    host.change("the end of the pause", |change| change.cause == Cause::Unpaused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gpu_memory_is_attributed_to_the_container_whose_process_holds_it() {
    let (address, docker) = shared().await;
    let name = "gantry-test-memory";
    let _cleanup = Cleanup { address: address.clone(), container: name.to_owned() };
    let mut host = Host::start(config(&address)).await;
    done(host.carry_out("a", name, Some(1), start(&["sleep"])).await);
    let inspected = docker.inspect_container(name, None).await.unwrap();
    let (id, pid) = (inspected.id.unwrap(), inspected.state.unwrap().pid.unwrap());
    // A figure of a simulated GPU with the real process of a real container: the way from one to the other is real.
    let mut frame: Frame = simulated(1, 1).remove(0);
    frame.sample.devices[0].processes = Reading::measured(vec![RawProcess {
        pid: u32::try_from(pid).unwrap(),
        name: None,
        kind: ProcessKind::Compute,
        memory_mb: Reading::measured(6_000),
        owner: None,
    }]);
    let mut recording = tempfile::NamedTempFile::new().unwrap();
    writeln!(recording, "{}", serde_json::to_string(&frame).unwrap()).unwrap();
    host.kill_agent().await;
    host.config.source = Choice::Recorded(recording.path().to_owned());
    host.start_agent();

    // A report that was made before the engine answered names no container.
    let known = |report: &NodeReport| !report.devices.seen().is_empty() && !report.engine.containers().is_empty();
    let report = host.report("the GPU and the container", known).await;
    let Devices::Seen { source: SourceKind::Recorded, devices } = &report.devices else { panic!("{report:#?}") };
    let processes = devices[0].processes.value().unwrap();
    assert_eq!(processes[0].owner.value(), Some(&Owner::Container { id, name: Some(name.to_owned()) }));
    assert_eq!(processes[0].name, Reading::measured("service".to_owned()));
    assert!(host.health.readiness().ready, "{:?}", host.health.readiness());
}
