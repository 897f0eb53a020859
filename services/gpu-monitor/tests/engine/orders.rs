//! Orders are carried out, each once, and refused for a reason.

use crate::engine::{Cleanup, shared};
use crate::host::{Host, SOON, config, definition, done, failed, now, start};
use domain::Time;
use domain::nodes::{ContainerName, ContainerState, FailureKind, Operation, OperationId, Phase, Volume, What};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use testkit::free_port;

fn get(port: u16, path: &str) -> String {
    let deadline = Instant::now() + SOON;
    let mut stream = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < deadline, "port {port}: {error}"),
        }
    };
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_made_as_defined_and_started_stopped_restarted_and_removed() {
    let (address, _docker) = shared().await;
    let models = tempfile::tempdir().unwrap();
    std::fs::write(models.path().join("a.gguf"), "weights").unwrap();
    let mut settings = config(&address);
    settings.volume_roots = vec![models.path().to_owned()];
    let mut host = Host::start(settings).await;
    let _cleanup = Cleanup { address, container: "gantry-test-life".to_owned() };
    let port = free_port();
    let mut service = definition(&["serve", &port.to_string()]);
    service.env.insert("HF_TOKEN".to_owned(), "hush".into());
    let source = models.path().to_str().unwrap().to_owned();
    service.volumes.push(Volume { source, target: "/models".to_owned(), read_only: true });
    let name = "gantry-test-life";

    let made = host.carry_out("make", name, None, Operation::Create { definition: service.clone() }).await;
    assert_eq!(done(made).1.unwrap().state, ContainerState::Created);
    let started = host.carry_out("s1", name, Some(1), Operation::Start { definition: Some(service.clone()) }).await;
    let (changed, container) = done(started);
    let container = container.unwrap();
    assert!(changed && container.state.is_up());
    assert_eq!((container.generation, container.definition), (Some(1), Some(service.digest())));
    assert_eq!(get(port, "/health"), "ok");
    assert_eq!(get(port, "/env/HF_TOKEN"), "hush");
    assert_eq!(get(port, "/file/models/a.gguf"), "weights");
    let again = host.carry_out("s2", name, Some(2), Operation::Start { definition: Some(service.clone()) }).await;
    let (changed, container) = done(again);
    assert_eq!((changed, container.unwrap().generation), (false, Some(2)));

    let restarted = done(host.carry_out("r1", name, Some(3), Operation::Restart { grace_ms: 0 }).await).1.unwrap();
    assert_eq!(restarted.generation, Some(3));
    let stopped = done(host.carry_out("p1", name, Some(3), Operation::Stop { grace_ms: 0 }).await);
    assert!(stopped.0 && matches!(stopped.1.unwrap().state, ContainerState::Exited { code: 137, .. }));
    let stopped = done(host.carry_out("p2", name, Some(3), Operation::Stop { grace_ms: 0 }).await);
    assert!(!stopped.0, "it was stopped already");
    let removed = done(host.carry_out("x1", name, Some(3), Operation::Remove { grace_ms: 0 }).await);
    assert_eq!(removed, (true, None));
    assert_eq!(done(host.carry_out("x2", name, Some(3), Operation::Remove { grace_ms: 0 }).await), (false, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_definition_makes_a_resting_container_anew_and_leaves_a_running_one() {
    let (address, _docker) = shared().await;
    let mut host = Host::start(config(&address)).await;
    let name = "gantry-test-anew";
    let _cleanup = Cleanup { address, container: name.to_owned() };
    let first = done(host.carry_out("a", name, Some(1), start(&["sleep", "one"])).await).1.unwrap();
    let running = done(host.carry_out("b", name, Some(1), start(&["sleep", "two"])).await).1.unwrap();
    assert_eq!(first.id, running.id);
    host.carry_out("c", name, Some(1), Operation::Stop { grace_ms: 0 }).await;
    let second = done(host.carry_out("d", name, Some(2), start(&["sleep", "two"])).await).1.unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(second.definition, Some(definition(&["sleep", "two"]).digest()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_may_not_or_cannot_be_carried_out_says_why() {
    let (address, docker) = shared().await;
    let mut host = Host::start(config(&address)).await;
    let missing = failed(host.carry_out("a", "gantry-test-none", Some(7), Operation::Start { definition: None }).await);
    assert_eq!(missing.kind, FailureKind::ContainerNotFound);
    assert!(missing.text.contains("gantry-test-none"), "{missing}");

    let mut no_image = definition(&[]);
    no_image.image = "gantry-test-absent:1".to_owned();
    let operation = Operation::Start { definition: Some(no_image) };
    let no_image = failed(host.carry_out("b", "gantry-test-none", Some(7), operation).await);
    assert_eq!(no_image.kind, FailureKind::ImageNotFound);

    let mut whole_host = definition(&[]);
    whole_host.volumes.push(Volume { source: "/".to_owned(), target: "/host".to_owned(), read_only: false });
    let operation = Operation::Start { definition: Some(whole_host) };
    let forbidden = failed(host.carry_out("c", "gantry-test-none", Some(7), operation).await);
    assert_eq!(forbidden.kind, FailureKind::NotAllowed);
    assert!(forbidden.text.contains("GANTRY_NODE_VOLUME_ROOTS"), "{forbidden}");

    let older = failed(host.carry_out("d", "gantry-test-none", Some(6), Operation::Stop { grace_ms: 0 }).await);
    assert_eq!(older.kind, FailureKind::Superseded);

    let mut late = host.order("e", "gantry-test-none", Some(7), Operation::Inspect);
    late.deadline = Time::from(now()).plus_micros(-1);
    host.bus.nodes().order(&late).await.unwrap();
    assert_eq!(failed(host.outcome("e").await).kind, FailureKind::Expired);

    let _cleanup = Cleanup { address, container: "gantry-test-foreign".to_owned() };
    let options = bollard::query_parameters::CreateContainerOptions {
        name: Some("gantry-test-foreign".to_owned()),
        ..Default::default()
    };
    let body = bollard::models::ContainerCreateBody { image: Some(testkit::service_image()), ..Default::default() };
    docker.create_container(Some(options), body).await.unwrap();
    let foreign = failed(host.carry_out("f", "gantry-test-foreign", Some(1), start(&["sleep"])).await);
    assert_eq!(foreign.kind, FailureKind::NotAllowed);
    assert!(foreign.text.contains("not made by Gantry"), "{foreign}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_takes_its_time_to_stop_holds_up_no_other() {
    let (address, _docker) = shared().await;
    let mut host = Host::start(config(&address)).await;
    let _slow = Cleanup { address: address.clone(), container: "gantry-test-slow".to_owned() };
    let _quick = Cleanup { address, container: "gantry-test-quick".to_owned() };
    done(host.carry_out("a", "gantry-test-slow", Some(1), start(&["sleep"])).await);
    let stop = host.order("stop", "gantry-test-slow", Some(1), Operation::Stop { grace_ms: 10_000 });
    let again = host.order("again", "gantry-test-slow", Some(2), start(&["sleep"]));
    host.bus.nodes().order(&stop).await.unwrap();
    host.bus.nodes().order(&again).await.unwrap();
    host.begun("stop").await;
    done(host.carry_out("quick", "gantry-test-quick", Some(1), start(&["sleep"])).await);
    done(host.outcome("again").await);
    let ends: Vec<&str> = host
        .told()
        .iter()
        .filter_map(|event| match &event.what {
            What::Operation(operation) if matches!(operation.phase, Phase::Ended { .. }) => Some(operation.id.as_str()),
            What::Operation(_) | What::Container(_) => None,
        })
        .collect();
    assert_eq!(ends, ["a", "quick", "stop", "again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_agent_dies_is_finished_by_the_next_one_and_told_once() {
    let (address, _docker) = shared().await;
    let mut host = Host::start(config(&address)).await;
    let name = "gantry-test-heir";
    let _cleanup = Cleanup { address, container: name.to_owned() };
    let started = done(host.carry_out("start", name, Some(4), start(&["sleep"])).await).1.unwrap();
    let stop = host.order("stop", name, Some(4), Operation::Stop { grace_ms: 2_000 });
    host.bus.nodes().order(&stop).await.unwrap();
    host.begun("stop").await;
    host.kill_agent().await;
    host.start_agent();
    let stopped = done(host.outcome("stop").await).1.unwrap();
    assert!(!stopped.state.is_up());
    assert_eq!((stopped.id, stopped.generation), (started.id, Some(4)), "the next agent remembers which start it was");
    let told = host.bus.nodes().operations(&host.config.node, &ContainerName::new(name).unwrap()).await.unwrap();
    let of_stop = told.iter().filter(|event| event.id == OperationId::new("stop"));
    let phases: Vec<bool> = of_stop.map(|event| matches!(event.phase, Phase::Ended { .. })).collect();
    assert_eq!(phases, [false, true]);
    // The order is off the queue: the next one of the same agent goes straight through.
    let next = tokio::time::timeout(Duration::from_secs(10), host.carry_out("look", name, Some(4), Operation::Inspect));
    assert!(!done(next.await.expect("the queue is blocked")).0);
}
