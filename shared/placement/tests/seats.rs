//! Requests and jobs have one order: what a seat starts, keeps and gives up, on the smallest cluster that shows it.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test picks the actions that it is about")]

use domain::Time;
use placement::{
    Action, Change, Cluster, DeviceInfo, Engine, Event, Frees, JobSpec, Reason, Service, State, StopReason, Wanted,
};
use std::collections::BTreeMap;

struct Host {
    engine: Engine,
    ms: i64,
    log: Vec<Event>,
}

impl Host {
    /// One GPU, and services that each need so much of it.
    fn new(gpu_mb: u64, services: &[(&str, u64)]) -> Self {
        let engine = Engine::new(Cluster::default(), Time::from_micros(0));
        let mut host = Self { engine, ms: 0, log: Vec::new() };
        let devices = vec![DeviceInfo { id: "g".into(), total_mb: gpu_mb, reserve_mb: 0 }];
        host.hear(Change::NodeSeen { node: "n".into(), devices, running: BTreeMap::new(), unread: false });
        for (name, mb) in services {
            let service = Service { idle_timeout_ms: Some(300_000), ..Service::new(*name, *name, *mb) };
            host.hear(Change::ServiceRegistered { service: Box::new(service) });
        }
        host
    }

    fn hear(&mut self, change: Change) -> Vec<Action> {
        let event = Event { at: Time::from_micros(self.ms * 1_000), change };
        let (actions, applied) = self.engine.on_event(&event);
        applied.unwrap();
        self.log.push(event);
        self.keep(actions)
    }

    fn at(&mut self, ms: i64) -> Vec<Action> {
        self.ms = ms;
        let actions = self.engine.on_time(Time::from_micros(ms * 1_000));
        self.keep(actions)
    }

    fn keep(&mut self, actions: Vec<Action>) -> Vec<Action> {
        let at = Time::from_micros(self.ms * 1_000);
        self.log.extend(actions.iter().map(|action| Event { at, change: action.change() }));
        assert_eq!(Cluster::replay(&self.log), *self.engine.cluster(), "the log leaves another state");
        actions
    }

    fn wait(&mut self, service: &str) -> Vec<Action> {
        self.seat(service, 3, true, false)
    }

    fn work(&mut self, service: &str) -> Vec<Action> {
        self.seat(service, 3, false, true)
    }

    fn seat(&mut self, service: &str, priority: i32, waiting: bool, running: bool) -> Vec<Action> {
        self.hear(Change::SeatTaken { service: service.into(), holder: "p".into(), priority, waiting, running })
    }

    fn leave(&mut self, service: &str) -> Vec<Action> {
        self.hear(Change::SeatLeft { service: service.into(), holder: "p".into() })
    }

    fn generation(&self, service: &str) -> u64 {
        self.engine.cluster().services[&service.into()].container.generation
    }

    fn ready(&mut self, service: &str) -> Vec<Action> {
        self.hear(Change::ContainerReady { service: service.into(), generation: self.generation(service) })
    }

    fn stopped(&mut self, service: &str) -> Vec<Action> {
        self.hear(Change::ContainerStopped { service: service.into(), generation: self.generation(service) })
    }

    fn serves(&self, service: &str) -> bool {
        self.engine.cluster().services[&service.into()].container.serves()
    }

    /// Lets time pass, minute by minute, until something is decided.
    fn until_decided(&mut self, minutes: i64) -> Vec<Action> {
        for _ in 0..minutes * 60 {
            let actions = self.at(self.ms + 1_000);
            if !actions.is_empty() {
                return actions;
            }
        }
        Vec::new()
    }
}

fn starts(actions: &[Action]) -> Vec<String> {
    let starts = actions.iter().filter_map(|action| match action {
        Action::Start { service, .. } => Some(service.to_string()),
        _ => None,
    });
    starts.collect()
}

fn stops(actions: &[Action]) -> Vec<(String, StopReason)> {
    let stops = actions.iter().filter_map(|action| match action {
        Action::Stop { service, reason, .. } => Some((service.to_string(), reason.clone())),
        _ => None,
    });
    stops.collect()
}

#[test]
fn a_request_that_waits_starts_its_service_and_one_that_left_starts_nothing() {
    let mut host = Host::new(10_000, &[("a", 8_000), ("b", 8_000)]);
    assert_eq!(starts(&host.wait("a")), ["a"]);
    // The other has to wait for room, and has left before there is any.
    host.wait("b");
    host.ready("a");
    host.work("a");
    host.leave("b");
    host.leave("a");
    assert!(host.until_decided(4).is_empty(), "nobody waits for b any more");
    assert!(matches!(host.engine.explain_service(&"b".into()), Some(Reason::NoRoom { .. })));
}

#[test]
fn what_requests_use_is_neither_stopped_for_idleness_nor_thrown_out_by_the_no_more_urgent() {
    let mut host = Host::new(10_000, &[("a", 8_000), ("b", 8_000)]);
    host.wait("a");
    host.ready("a");
    host.work("a");
    host.hear(Change::JobSubmitted { spec: Box::new(JobSpec::new("j", "b")) });
    let actions = host.until_decided(60);
    assert!(stops(&actions).is_empty() && starts(&actions).is_empty(), "at most it drains: {actions:?}");
    assert_eq!(stops(&host.leave("a")), [("a".to_owned(), StopReason::Evicted { room_for: "b".into() })]);
    host.stopped("a");
    host.hear(Change::DeviceMeasured { device: "g".into(), used_mb: 0, by_service: BTreeMap::new() });
    assert!(host.engine.cluster().services[&"b".into()].container.is_live());
}

#[test]
fn an_idle_service_makes_room_for_a_request_at_once_and_idleness_counts_from_the_last_request() {
    let mut host = Host::new(20_000, &[("a", 8_000), ("b", 8_000), ("c", 8_000)]);
    for name in ["a", "b"] {
        host.wait(name);
        host.ready(name);
        host.work(name);
        host.at(host.ms + 60_000);
    }
    host.leave("a");
    host.at(host.ms + 120_000);
    assert_eq!(stops(&host.wait("c")), [("a".to_owned(), StopReason::Evicted { room_for: "c".into() })]);
    host.leave("c");
    host.stopped("a");
    host.leave("b");
    let left = host.ms;
    let actions = host.until_decided(10);
    assert!(stops(&actions).contains(&("b".to_owned(), StopReason::Idle)), "{actions:?}");
    assert_eq!(host.ms - left, 300_000);
}

#[test]
fn two_services_that_do_not_fit_together_take_turns_and_never_run_both() {
    let mut host = Host::new(10_000, &[("a", 8_000), ("b", 8_000)]);
    let (mut here, mut there) = ("a", "b");
    host.wait(here);
    host.ready(here);
    for _ in 0..4 {
        host.seat(here, 3, false, true);
        host.hear(Change::SeatTaken {
            service: there.into(),
            holder: "q".into(),
            priority: 3,
            waiting: true,
            running: false,
        });
        let drained = host.until_decided(30);
        assert!(matches!(drained[..], [Action::Drain { .. }]), "{drained:?}");
        assert!(!host.serves(here), "no more requests go to what makes way");
        assert_eq!(stops(&host.leave(here)).len(), 1, "those under way have ended");
        let mut started = host.stopped(here);
        if started.is_empty() {
            started = host.until_decided(5);
        }
        assert_eq!(starts(&started), [there]);
        host.ready(there);
        assert!(host.serves(there) && !host.serves(here));
        host.hear(Change::SeatLeft { service: there.into(), holder: "q".into() });
        (here, there) = (there, here);
    }
}

#[test]
fn a_service_that_can_never_fit_says_so_with_numbers() {
    let mut host = Host::new(10_000, &[("huge", 80_000)]);
    assert!(host.wait("huge").is_empty());
    let reason = host.engine.explain_service(&"huge".into()).unwrap();
    let Reason::NoRoom { need_mb, capacity_mb, frees, .. } = &reason else { panic!("{reason}") };
    assert_eq!((*need_mb, *capacity_mb, frees), (80_000, 10_000, &Frees::Nothing));
    assert!(reason.is_hopeless());
}

#[test]
fn what_a_proxy_says_becomes_the_changes_that_are_missing() {
    let mut host = Host::new(20_000, &[("a", 8_000), ("b", 8_000)]);
    let wanted = Wanted { priority: 3, waiting: true, running: false };
    let say = |host: &Host, wanted: &[(&str, Wanted)]| {
        let wanted = wanted.iter().map(|(name, wanted)| ((*name).into(), *wanted)).collect();
        host.engine.cluster().seat_changes(&"p".into(), &wanted)
    };
    let changes = say(&host, &[("a", wanted), ("nobody", wanted)]);
    assert_eq!(changes.len(), 1);
    changes.into_iter().for_each(|change| drop(host.hear(change)));
    assert!(say(&host, &[("a", wanted)]).is_empty(), "said twice is said once");
    assert_eq!(say(&host, &[]), [Change::SeatLeft { service: "a".into(), holder: "p".into() }]);
    let state = &host.engine.cluster().services[&"a".into()].container.state;
    assert!(matches!(state, State::Starting { .. }));
}
