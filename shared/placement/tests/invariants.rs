//! The invariants of the simulator themselves: each refuses a state in which it is broken.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use domain::Time;
use placement::sim::check;
use placement::{Change, Cluster, DeviceInfo, Event, JobEvent, JobSpec, JobStatus, Service, Spot, State};

/// One GPU, the service `a` at work on the job `j0`, the service `b` stopped, and the job `j1` queued.
fn sound() -> Cluster {
    let spot = Spot { node: "n".into(), devices: vec!["g".into()], vram_mb: 4_000 };
    let device = DeviceInfo { id: "g".into(), total_mb: 8_000, reserve_mb: 0 };
    let dispatched = JobEvent::Dispatched {
        attempt: 1,
        service: "a".into(),
        generation: 1,
        deadline: Time::from_micros(60_000_000),
    };
    let changes = [
        Change::NodeSeen { node: "n".into(), devices: vec![device], running: [].into(), unread: false },
        Change::ServiceRegistered { service: Box::new(Service::new("a", "t", 4_000)) },
        Change::ServiceRegistered { service: Box::new(Service::new("b", "t", 4_000)) },
        Change::StartRequested { service: "a".into(), spot, generation: 1 },
        Change::ContainerReady { service: "a".into(), generation: 1 },
        Change::JobSubmitted { spec: Box::new(JobSpec::new("j0", "t")) },
        Change::JobSubmitted { spec: Box::new(JobSpec::new("j1", "t")) },
        Change::Job { job: "j0".into(), what: dispatched },
    ];
    let mut cluster = Cluster::default();
    for (number, change) in changes.into_iter().enumerate() {
        let at = Time::from_micros(i64::try_from(number).unwrap());
        cluster.apply(&Event { at, change }).unwrap();
    }
    assert_eq!(check(&cluster), Ok(()));
    cluster
}

fn refused(what: &str, spoil: impl FnOnce(&mut Cluster)) {
    let mut cluster = sound();
    spoil(&mut cluster);
    let error = check(&cluster).unwrap_err();
    assert!(error.contains(what), "{error}");
}

#[test]
fn more_memory_than_there_is_cannot_be_set_aside() {
    refused("are set aside", |cluster| {
        let device = cluster.devices.get_mut(&"g".into()).unwrap();
        device.holders.get_mut(&"a".into()).unwrap().reserved_mb = 8_001;
    });
}

#[test]
fn two_containers_cannot_start_at_once_on_a_gpu() {
    refused("start at once", |cluster| {
        let spot = cluster.services[&"a".into()].container.spot.clone();
        let hold = cluster.devices[&"g".into()].holders[&"a".into()].clone();
        cluster.devices.get_mut(&"g".into()).unwrap().holders.insert("b".into(), hold);
        for name in ["a", "b"] {
            let container = &mut cluster.services.get_mut(&name.into()).unwrap().container;
            (container.state, container.spot) = (State::Starting { since: Time::from_micros(0) }, spot.clone());
        }
    });
}

#[test]
fn a_slot_is_held_by_one_job_that_runs_there() {
    refused("hold the 1 slots", |cluster| {
        let second = cluster.places[&"j1".into()];
        cluster.services.get_mut(&"a".into()).unwrap().running.insert(second);
    });
    refused("run in 0 slots", |cluster| cluster.services.get_mut(&"a".into()).unwrap().running.clear());
}

#[test]
fn a_job_is_in_one_state_and_at_its_place() {
    refused("two states", |cluster| {
        let place = cluster.places[&"j1".into()];
        cluster.jobs.get_mut(&place).unwrap().status = JobStatus::Completed;
    });
    refused("has lost its place", |cluster| {
        let other = cluster.places[&"j0".into()];
        cluster.places.insert("j1".into(), other);
    });
}
