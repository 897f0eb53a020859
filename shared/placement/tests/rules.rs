//! Each rule by itself, on the smallest cluster that shows it.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test picks the actions that it is about")]

use domain::Time;
use placement::{
    Action, Change, Cluster, DeviceInfo, Engine, Event, Frees, Interruption, JobEvent, JobSpec, JobStatus, Loss,
    Policy, Reason, Refusal, Service, StopReason, decide,
};
use std::collections::BTreeMap;

/// A cluster at a moment; every event is also decided as a whole and must agree.
struct Host {
    engine: Engine,
    ms: i64,
    log: Vec<Event>,
}

impl Host {
    fn new(gpus: &[u64]) -> Self {
        let start = Time::from_micros(0);
        let mut host = Self { engine: Engine::new(Cluster::default(), start), ms: 0, log: Vec::new() };
        host.node("n", gpus);
        host
    }

    fn node(&mut self, name: &str, gpus: &[u64]) -> Vec<Action> {
        let devices = gpus.iter().enumerate();
        let devices =
            devices.map(|(at, mb)| DeviceInfo { id: format!("{name}{at}").into(), total_mb: *mb, reserve_mb: 0 });
        let (devices, running) = (devices.collect(), BTreeMap::new());
        self.hear(Change::NodeSeen { node: name.into(), devices, running, unread: false })
    }

    fn at(&mut self, ms: i64) -> Vec<Action> {
        self.ms = ms;
        let actions = self.engine.on_time(Time::from_micros(ms * 1_000));
        self.keep(&actions);
        actions
    }

    fn try_hear(&mut self, change: Change) -> (Vec<Action>, Result<(), Refusal>) {
        let event = Event { at: Time::from_micros(self.ms * 1_000), change };
        let mut whole = self.engine.cluster().clone();
        let _refused = whole.apply(&event);
        let whole = decide(&whole, event.at);
        let (actions, applied) = self.engine.on_event(&event);
        assert_eq!(actions, whole.actions);
        self.log.push(event);
        self.keep(&actions);
        (actions, applied)
    }

    fn keep(&mut self, actions: &[Action]) {
        let at = Time::from_micros(self.ms * 1_000);
        self.log.extend(actions.iter().map(|action| Event { at, change: action.change() }));
        assert_eq!(Cluster::replay(&self.log), *self.engine.cluster(), "the log leaves another state");
    }

    fn hear(&mut self, change: Change) -> Vec<Action> {
        let (actions, applied) = self.try_hear(change);
        applied.unwrap();
        actions
    }

    fn service(&mut self, service: Service) -> Vec<Action> {
        self.hear(Change::ServiceRegistered { service: Box::new(service) })
    }

    fn submit(&mut self, id: &str, kind: &str, priority: i32) -> Vec<Action> {
        self.submit_spec(JobSpec { priority, ..JobSpec::new(id, kind) })
    }

    fn submit_spec(&mut self, spec: JobSpec) -> Vec<Action> {
        self.hear(Change::JobSubmitted { spec: Box::new(spec) })
    }

    fn job(&mut self, id: &str, what: JobEvent) -> Vec<Action> {
        self.hear(Change::Job { job: id.into(), what })
    }

    fn complete(&mut self, id: &str) -> Vec<Action> {
        let attempt = self.engine.cluster().job(&id.into()).unwrap().attempt;
        self.job(id, JobEvent::Completed { attempt })
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

    fn measure(&mut self, device: &str, used_mb: u64) -> Vec<Action> {
        self.hear(Change::DeviceMeasured { device: device.into(), used_mb, by_service: BTreeMap::new() })
    }

    /// Registers and gets a service to run by a job of its type that completes.
    fn running(&mut self, service: Service) {
        let (name, kind) = (service.name.to_string(), service.service_type.to_string());
        self.service(service);
        self.submit(&format!("first-{name}"), &kind, 3);
        self.ready(&name);
        self.complete(&format!("first-{name}"));
    }

    fn reason(&self, job: &str) -> Reason {
        self.engine.explain(&job.into()).unwrap().reason
    }

    fn status(&self, job: &str) -> JobStatus {
        self.engine.cluster().job(&job.into()).unwrap().status
    }
}

fn started(actions: &[Action]) -> Vec<(String, Vec<String>)> {
    let starts = actions.iter().filter_map(|action| match action {
        Action::Start { service, spot, .. } => {
            Some((service.to_string(), spot.devices.iter().map(ToString::to_string).collect()))
        }
        _ => None,
    });
    starts.collect()
}

fn dispatched(actions: &[Action]) -> Vec<(String, String, u32)> {
    let sent = actions.iter().filter_map(|action| match action {
        Action::Dispatch { job, service, attempt, .. } => Some((job.to_string(), service.to_string(), *attempt)),
        _ => None,
    });
    sent.collect()
}

fn stopped(actions: &[Action]) -> Vec<(String, StopReason)> {
    let stops = actions.iter().filter_map(|action| match action {
        Action::Stop { service, reason, .. } => Some((service.to_string(), reason.clone())),
        _ => None,
    });
    stops.collect()
}

fn interrupted(actions: &[Action]) -> Vec<(String, Interruption)> {
    let told = actions.iter().filter_map(|action| match action {
        Action::Interrupt { job, cause, .. } => Some((job.to_string(), cause.clone())),
        _ => None,
    });
    told.collect()
}

fn evicted_for(service: &str) -> StopReason {
    StopReason::Evicted { room_for: service.into() }
}

fn on(service: &str, gpu: &str) -> (String, Vec<String>) {
    (service.to_owned(), vec![gpu.to_owned()])
}

#[test]
fn a_job_starts_its_service_and_is_sent_the_moment_it_is_ready() {
    let mut host = Host::new(&[24_000]);
    host.service(Service::new("a", "t", 8_000));
    assert_eq!(started(&host.submit("j", "t", 3)), [on("a", "n0")]);
    assert!(matches!(host.reason("j"), Reason::Starting { .. }));
    assert_eq!(dispatched(&host.ready("a")), [("j".to_owned(), "a".to_owned(), 1)]);
    assert_eq!(dispatched(&host.submit("k", "t", 3)), []);
    assert_eq!(dispatched(&host.complete("j")), [("k".to_owned(), "a".to_owned(), 1)]);
}

#[test]
fn the_more_urgent_goes_first_and_then_the_older() {
    let mut host = Host::new(&[24_000]);
    host.service(Service::new("a", "t", 8_000));
    for (id, priority) in [("old", 3), ("young", 3), ("urgent", 2)] {
        host.submit(id, "t", priority);
    }
    assert_eq!(host.engine.explain(&"old".into()).unwrap().position, Some(2));
    assert_eq!(dispatched(&host.ready("a"))[0].0, "urgent");
    assert_eq!(dispatched(&host.complete("urgent"))[0].0, "old");
    assert_eq!(dispatched(&host.complete("old"))[0].0, "young");
}

#[test]
fn a_pin_is_honoured_and_an_idle_sibling_stays_idle() {
    let mut host = Host::new(&[24_000]);
    host.running(Service::new("a", "t", 4_000));
    host.service(Service::new("b", "t", 4_000));
    let pinned = JobSpec { service_name: Some("b".into()), ..JobSpec::new("p", "t") };
    assert_eq!(started(&host.submit_spec(pinned)), [on("b", "n0")]);
    assert_eq!(dispatched(&host.ready("b")), [("p".to_owned(), "b".to_owned(), 1)]);
}

#[test]
fn several_services_of_a_type_and_several_slots_of_a_service_all_work_at_once() {
    let mut host = Host::new(&[24_000]);
    let mut wide = Service::new("a", "t", 4_000);
    wide.max_concurrency = 2;
    host.running(wide);
    host.running(Service::new("b", "u", 4_000));
    let mut actions = Vec::new();
    for id in ["1", "2", "3"] {
        actions.extend(host.submit(id, "t", 3));
    }
    assert_eq!(dispatched(&actions).len(), 2);
    assert!(matches!(host.reason("3"), Reason::SlotsBusy { slots: 2, ref holders } if holders.len() == 2));
}

#[test]
fn what_is_starting_counts_and_one_start_at_a_time_goes_on_a_gpu() {
    let mut host = Host::new(&[24_000]);
    for (name, kind) in [("a", "t"), ("b", "u"), ("c", "v")] {
        host.service(Service::new(name, kind, 10_000));
    }
    assert_eq!(started(&host.submit("1", "t", 3)), [on("a", "n0")]);
    assert_eq!(started(&host.submit("2", "u", 3)), []);
    assert_eq!(started(&host.submit("3", "v", 3)), []);
    assert_eq!(started(&host.ready("a")), [on("b", "n0")]);
    assert_eq!(started(&host.ready("b")), [], "two of ten thousand leave four of twenty-four");
    assert!(matches!(host.reason("3"), Reason::NoRoom { need_mb: 10_000, free_mb: 4_000, .. }));
}

#[test]
fn the_next_start_waits_until_measured_memory_is_quiet() {
    let mut host = Host::new(&[24_000]);
    host.service(Service::new("a", "t", 10_000));
    host.service(Service::new("b", "u", 10_000));
    host.measure("n0", 0);
    host.submit("1", "t", 3);
    host.submit("2", "u", 3);
    assert_eq!(started(&host.ready("a")), []);
    assert!(matches!(host.reason("2"), Reason::NoRoom { frees: Frees::Quiet, .. }));
    assert_eq!(started(&host.measure("n0", 4_000)), []);
    assert_eq!(started(&host.measure("n0", 9_000)), [], "still growing");
    assert_eq!(started(&host.measure("n0", 9_050)), [on("b", "n0")]);
}

#[test]
fn memory_that_never_becomes_quiet_is_waited_for_with_a_bound() {
    let mut host = Host::new(&[24_000]);
    host.service(Service::new("a", "t", 10_000));
    host.service(Service::new("b", "u", 10_000));
    host.measure("n0", 0);
    host.submit("1", "t", 3);
    host.submit("2", "u", 3);
    host.ready("a");
    assert_eq!(started(&host.at(29_999)), []);
    assert_eq!(started(&host.at(30_000)), [on("b", "n0")]);
}

#[test]
fn what_other_programs_hold_is_not_given_away() {
    let mut host = Host::new(&[24_000]);
    host.service(Service::new("a", "t", 10_000));
    host.measure("n0", 20_000);
    assert_eq!(started(&host.submit("1", "t", 3)), []);
    let Reason::NoRoom { foreign_mb, frees, .. } = host.reason("1") else { panic!("{:?}", host.reason("1")) };
    assert_eq!((foreign_mb, frees), (20_000, Frees::Others));
    assert_eq!(started(&host.measure("n0", 1_000)), [on("a", "n0")]);
}

#[test]
fn a_host_without_a_gpu_has_no_room_for_what_needs_one_however_much_memory_it_has() {
    let mut host = Host::new(&[]);
    host.service(Service::new("needs-one", "t", 1));
    host.service(Service::new("needs-none", "u", 0));
    assert_eq!(started(&host.submit("1", "t", 3)), []);
    assert_eq!(host.status("1"), JobStatus::Failed);
    assert!(host.engine.cluster().job(&"1".into()).unwrap().error.is_some());
    assert_eq!(started(&host.submit("2", "u", 3)), [("needs-none".to_owned(), vec![])]);
}

#[test]
fn a_learned_peak_with_margin_replaces_a_wrong_declaration() {
    let cluster = |declared: u64, measured: u64, runs: u32| {
        let mut host = Host::new(&[24_000]);
        host.service(Service::new("a", "t", declared));
        for run in 0..runs {
            host.submit(&format!("{run}"), "t", 3);
            let used = BTreeMap::from([("a".into(), measured)]);
            host.hear(Change::DeviceMeasured { device: "n0".into(), used_mb: measured, by_service: used });
            host.ready("a");
            host.complete(&format!("{run}"));
            host.hear(Change::StopAsked { service: "a".into(), drain: false });
            host.stopped("a");
            host.measure("n0", 0);
            host.measure("n0", 0);
            host.measure("n0", 0);
        }
        host.engine.cluster().services[&"a".into()].need_mb(&Policy::default())
    };
    assert_eq!(cluster(8_000, 4_000, 0), 8_000);
    assert_eq!(cluster(8_000, 4_000, 1), 8_000, "once is not enough to trust less than declared");
    assert_eq!(cluster(8_000, 4_000, 3), 4_400);
    assert_eq!(cluster(8_000, 10_000, 1), 11_000, "more than declared counts at once");
}

#[test]
fn two_gpus_of_one_node_are_taken_together() {
    let mut host = Host::new(&[10_000]);
    host.node("m", &[10_000, 10_000]);
    let mut wide = Service::new("a", "t", 16_000);
    wide.gpus = 2;
    host.service(wide);
    let actions = host.submit("1", "t", 3);
    assert_eq!(started(&actions), [("a".to_owned(), vec!["m0".to_owned(), "m1".to_owned()])]);
}

#[test]
fn pins_to_nodes_and_gpus_are_honoured() {
    let mut host = Host::new(&[10_000, 10_000]);
    host.node("m", &[10_000, 10_000]);
    let mut elsewhere = Service::new("a", "t", 4_000);
    elsewhere.nodes = ["m".into()].into();
    elsewhere.devices = ["m1".into(), "n0".into()].into();
    host.service(elsewhere);
    assert_eq!(started(&host.submit("1", "t", 3)), [on("a", "m1")]);
}

#[test]
fn an_idle_service_is_evicted_when_another_needs_its_room_and_one_a_person_started_is_not() {
    for (orphan, evicted) in [(false, vec![]), (true, vec![("a".to_owned(), StopReason::Tainted)])] {
        let mut host = Host::new(&[10_000]);
        host.service(Service::new("a", "t", 8_000));
        host.service(Service::new("b", "u", 8_000));
        let spot = placement::Spot { node: "n".into(), devices: vec!["n0".into()], vram_mb: 8_000 };
        let found = Change::ContainerFound { service: "a".into(), spot, generation: 7, orphan };
        let mut actions = host.hear(found);
        actions.extend(host.submit("1", "u", 3));
        assert_eq!(stopped(&actions), evicted);
    }
    let mut host = Host::new(&[10_000]);
    host.running(Service::new("a", "t", 8_000));
    host.service(Service::new("b", "u", 8_000));
    host.at(400_000 - 200_000);
    assert_eq!(stopped(&host.submit("1", "u", 3)), [("a".to_owned(), evicted_for("b"))]);
    assert!(matches!(host.reason("1"), Reason::NoRoom { frees: Frees::Release { .. }, .. }));
    assert_eq!(started(&host.stopped("a")), [on("b", "n0")]);
}

#[test]
fn an_idle_service_stops_after_its_time_unless_a_job_of_its_type_waits() {
    let mut host = Host::new(&[10_000]);
    host.running(Service::new("a", "t", 8_000));
    assert_eq!(stopped(&host.at(299_999)), []);
    assert_eq!(stopped(&host.at(300_000)), [("a".to_owned(), StopReason::Idle)]);
    let mut host = Host::new(&[10_000]);
    host.running(Service::new("a", "t", 8_000));
    host.submit_spec(JobSpec { service_name: Some("nobody".into()), ..JobSpec::new("p", "t") });
    assert_eq!(stopped(&host.at(300_000)), []);
    assert_eq!(stopped(&host.job("p", JobEvent::CancelRequested)), [("a".to_owned(), StopReason::Idle)]);
}

#[test]
fn preemption_needs_the_gap_and_the_minimum_runtime_and_takes_who_loses_least() {
    let mut host = Host::new(&[24_000]);
    for name in ["a", "b"] {
        host.service(Service::new(name, "t", 4_000));
    }
    host.submit("long", "t", 5);
    host.ready("a");
    host.at(5_000);
    host.submit("short", "t", 5);
    host.ready("b");
    host.at(6_000);
    assert_eq!(interrupted(&host.submit("close", "t", 4)), [], "a gap of one is not enough");
    assert_eq!(dispatched(&host.submit("urgent", "t", 1)), []);
    host.at(6_500);
    let Some(victim) = host.engine.cluster().job(&"long".into()) else { panic!() };
    assert!(victim.run.as_ref().unwrap().interrupt.is_some(), "short is too young, long is not");
    let told = host.submit("urgent2", "t", 1);
    assert_eq!(interrupted(&told), []);
    let by = Interruption::Preempted { by: Some("urgent2".into()) };
    assert_eq!(interrupted(&host.at(7_000)), [("short".to_owned(), by)]);
}

#[test]
fn the_victim_with_the_latest_saved_work_is_taken() {
    let mut host = Host::new(&[24_000]);
    for name in ["a", "b"] {
        host.service(Service::new(name, "t", 4_000));
        host.submit(&format!("on-{name}"), "t", 5);
        host.ready(name);
    }
    host.at(60_000);
    let first = host.engine.cluster().job(&"on-a".into()).unwrap().attempt;
    host.job("on-a", JobEvent::Progressed { attempt: first, done_permille: Some(900), saved: true });
    host.at(61_000);
    assert_eq!(interrupted(&host.submit("urgent", "t", 1))[0].0, "on-a");
}

#[test]
fn a_preempted_job_keeps_its_place_and_waits_for_the_end_of_its_preemptor() {
    let mut host = Host::new(&[24_000]);
    host.service(Service::new("a", "t", 4_000));
    host.submit("victim", "t", 5);
    host.ready("a");
    host.submit("other", "t", 5);
    host.at(2_000);
    assert_eq!(interrupted(&host.submit("urgent", "t", 1)).len(), 1);
    assert_eq!(dispatched(&host.at(2_500)), [], "never two on one slot");
    assert_eq!(dispatched(&host.job("victim", JobEvent::Interrupted { attempt: 1 }))[0].0, "urgent");
    assert_eq!((host.status("victim"), host.reason("victim")), {
        (JobStatus::Paused, Reason::PausedFor { job: Some("urgent".into()) })
    });
    let after = host.complete("urgent");
    assert_eq!(dispatched(&after), [("victim".to_owned(), "a".to_owned(), 2)], "it is older than the other");
    assert_eq!(dispatched(&host.complete("victim")), [("other".to_owned(), "a".to_owned(), 1)]);
}

#[test]
fn a_victim_that_does_not_let_go_loses_its_container() {
    let mut host = Host::new(&[24_000]);
    host.service(Service::new("a", "t", 4_000));
    host.submit("victim", "t", 5);
    host.ready("a");
    host.at(2_000);
    host.submit("urgent", "t", 1);
    let held = StopReason::HeldByInterrupted { job: "victim".into() };
    assert_eq!(stopped(&host.at(12_000)), [("a".to_owned(), held)]);
    assert_eq!(started(&host.stopped("a")), [on("a", "n0")]);
    assert_eq!(host.status("victim"), JobStatus::Queued);
    assert_eq!(dispatched(&host.ready("a"))[0].0, "urgent");
}

#[test]
fn an_urgent_job_takes_the_room_of_another_service() {
    let mut host = Host::new(&[10_000]);
    host.service(Service::new("a", "t", 8_000));
    host.service(Service::new("b", "u", 8_000));
    host.submit("victim", "t", 5);
    host.ready("a");
    host.at(2_000);
    assert_eq!(interrupted(&host.submit("urgent", "u", 1))[0].0, "victim");
    let actions = host.job("victim", JobEvent::Interrupted { attempt: 1 });
    assert_eq!(stopped(&actions), [("a".to_owned(), evicted_for("b"))]);
    assert_eq!(started(&host.stopped("a")), [on("b", "n0")]);
}

#[test]
fn a_loaded_service_works_on_until_patience_and_its_start_are_paid_off() {
    let mut host = Host::new(&[10_000]);
    host.service(Service::new("a", "t", 8_000));
    host.service(Service::new("b", "u", 8_000));
    host.submit("1", "t", 3);
    host.at(5_000);
    host.ready("a");
    host.submit("other", "u", 3);
    for id in ["2", "3", "4", "5"] {
        host.submit(id, "t", 3);
    }
    let Reason::NoRoom { frees, .. } = host.reason("other") else { panic!("{:?}", host.reason("other")) };
    let from = Some(Time::from_micros(45_000_000));
    assert_eq!(frees, Frees::JobsEnd { services: vec!["a".into()], or_from: from });
    assert_eq!(dispatched(&host.complete("1"))[0].0, "2", "younger, but no swap");
    host.at(44_999);
    assert_eq!(dispatched(&host.complete("2"))[0].0, "3", "eight starts of five seconds are not over");
    let drained = host.at(45_000);
    assert!(matches!(drained.as_slice(), [Action::Drain { .. }]), "{drained:?}");
    let actions = host.complete("3");
    assert_eq!((dispatched(&actions), stopped(&actions)), (vec![], vec![("a".to_owned(), evicted_for("b"))]));
}

#[test]
fn a_job_that_can_never_fit_fails_at_once_with_the_numbers() {
    let mut host = Host::new(&[24_000, 12_000]);
    host.service(Service::new("a", "t", 30_000));
    host.submit("1", "t", 3);
    let job = host.engine.cluster().job(&"1".into()).unwrap();
    assert_eq!(job.status, JobStatus::Failed);
    let error = job.error.clone().unwrap();
    assert!(error.contains("30000 MB") && error.contains("24000 MB"), "{error}");
    let mut nowhere = Host::new(&[]);
    nowhere.submit("1", "t", 3);
    assert!(matches!(nowhere.reason("1"), Reason::NoService { .. }), "a type may still be registered");
}

#[test]
fn nothing_is_too_large_for_gpus_that_were_never_read_and_what_needs_none_starts_beside_them() {
    let mut host = Host::new(&[24_000]);
    let unread = |unread| Change::NodeSeen { node: "m".into(), devices: vec![], running: BTreeMap::new(), unread };
    host.hear(unread(true));
    host.service(Service::new("a", "t", 30_000));
    assert_eq!(started(&host.submit("1", "t", 3)), []);
    assert_eq!(host.reason("1"), Reason::GpusUnread { service: "a".into(), node: "m".into() });
    assert!(!host.reason("1").is_hopeless());
    let nodes = ["m".into()].into();
    host.service(Service { gpus: 0, nodes, ..Service::new("b", "u", 0) });
    assert_eq!(started(&host.submit("2", "u", 3)), [("b".to_owned(), vec![])]);
    // Once it is known that there are none, nobody waits for them.
    host.hear(unread(false));
    assert_eq!(host.status("1"), JobStatus::Failed);
    host.submit("3", "t", 3);
    assert_eq!(host.status("3"), JobStatus::Failed);
}

#[test]
fn what_needs_a_host_waits_for_one_and_is_not_put_where_services_are_that_run_elsewhere() {
    let start = Time::from_micros(0);
    let mut host = Host { engine: Engine::new(Cluster::default(), start), ms: 0, log: Vec::new() };
    let by_url = Change::NodeSeen { node: "(by url)".into(), devices: vec![], running: BTreeMap::new(), unread: false };
    host.hear(by_url);
    host.service(Service::new("heavy", "t", 8_000));
    host.service(Service { gpus: 0, ..Service::new("plain", "u", 0) });
    let nodes = ["(by url)".into()].into();
    host.service(Service { gpus: 0, nodes, ..Service::new("elsewhere", "v", 0) });
    for (job, kind) in [("1", "t"), ("2", "u")] {
        assert_eq!(started(&host.submit(job, kind, 3)), [], "{kind}");
        assert_eq!((host.status(job), host.reason(job)), (JobStatus::Queued, Reason::NoNode), "{kind}");
    }
    assert_eq!(started(&host.submit("3", "v", 3)), [("elsewhere".to_owned(), vec![])]);
    let actions = host.node("n", &[24_000]);
    assert_eq!(started(&actions), [on("heavy", "n0"), ("plain".to_owned(), vec![])]);
}

#[test]
fn gpus_that_are_read_at_last_take_the_jobs_that_waited_for_them() {
    let mut host = Host::new(&[]);
    host.hear(Change::NodeSeen { node: "n".into(), devices: vec![], running: BTreeMap::new(), unread: true });
    host.service(Service::new("a", "t", 8_000));
    assert_eq!(started(&host.submit("1", "t", 3)), []);
    assert_eq!(host.status("1"), JobStatus::Queued);
    assert_eq!(started(&host.node("n", &[24_000])), [on("a", "n0")]);
}

#[test]
fn a_job_expires_while_queued_and_keeps_its_history() {
    let mut host = Host::new(&[24_000]);
    host.submit_spec(JobSpec { ttl_ms: Some(3_000), ..JobSpec::new("1", "t") });
    assert_eq!(host.engine.wake_at(), Some(Time::from_micros(3_000_000)));
    assert_eq!(host.at(3_000), [Action::Expire { job: "1".into() }]);
    assert_eq!(host.status("1"), JobStatus::Expired);
}

#[test]
fn a_failed_attempt_is_tried_again_after_a_growing_wait_and_not_for_ever() {
    let mut host = Host::new(&[24_000]);
    host.service(Service::new("a", "t", 4_000));
    host.submit("1", "t", 3);
    host.ready("a");
    let fail = |attempt| JobEvent::AttemptFailed { attempt, error: "500".to_owned() };
    host.job("1", fail(1));
    assert!(matches!(host.reason("1"), Reason::BackingOff { failures: 1, max_attempts: 3, .. }));
    assert_eq!(dispatched(&host.at(999)), []);
    assert_eq!(dispatched(&host.at(1_000)), [("1".to_owned(), "a".to_owned(), 2)]);
    host.job("1", fail(2));
    assert_eq!(dispatched(&host.at(3_000)), [("1".to_owned(), "a".to_owned(), 3)]);
    host.job("1", fail(3));
    assert_eq!(host.status("1"), JobStatus::Failed);
}

#[test]
fn a_result_of_a_superseded_attempt_is_refused() {
    let mut host = Host::new(&[24_000]);
    host.service(Service::new("a", "t", 4_000));
    host.submit("1", "t", 3);
    host.ready("a");
    let lost = JobEvent::AttemptLost { attempt: 1, cause: Loss::ConnectionLost };
    let actions = host.job("1", lost);
    assert_eq!(stopped(&actions), [("a".to_owned(), StopReason::Tainted)], "it may still be at work inside");
    let late = Change::Job { job: "1".into(), what: JobEvent::Completed { attempt: 1 } };
    assert!(host.try_hear(late.clone()).1.is_err());
    host.stopped("a");
    host.ready("a");
    assert_eq!(host.try_hear(late).1, Err(Refusal::Superseded { attempt: 1, current: 2 }));
}

#[test]
fn a_running_job_can_be_cancelled_and_a_paused_one_too() {
    let mut host = Host::new(&[24_000]);
    host.service(Service::new("a", "t", 4_000));
    host.submit("1", "t", 3);
    host.ready("a");
    let told = host.job("1", JobEvent::CancelRequested);
    assert_eq!(interrupted(&told), [("1".to_owned(), Interruption::Cancelled)]);
    host.job("1", JobEvent::Interrupted { attempt: 1 });
    assert_eq!(host.status("1"), JobStatus::Cancelled);
    host.submit("victim", "t", 5);
    host.at(5_000);
    host.submit("urgent", "t", 1);
    let attempt = host.engine.cluster().job(&"victim".into()).unwrap().attempt;
    host.job("victim", JobEvent::Interrupted { attempt });
    assert_eq!(host.status("victim"), JobStatus::Paused);
    assert_eq!(interrupted(&host.job("victim", JobEvent::CancelRequested)), [], "it does not run");
    assert_eq!(host.status("victim"), JobStatus::Cancelled);
    assert_eq!(dispatched(&host.complete("urgent")), []);
}

#[test]
fn a_lost_node_gives_its_jobs_to_others_and_what_still_runs_there_stops_when_it_returns() {
    let mut host = Host::new(&[10_000]);
    host.service(Service::new("a", "t", 8_000));
    host.submit("1", "t", 3);
    host.ready("a");
    host.node("m", &[10_000]);
    host.service(Service::new("b", "t", 8_000));
    let actions = host.hear(Change::NodeLost { node: "n".into() });
    assert_eq!(started(&actions), [on("b", "m0")]);
    assert_eq!(dispatched(&host.ready("b")), [("1".to_owned(), "b".to_owned(), 2)]);
    let devices = vec![DeviceInfo { id: "n0".into(), total_mb: 10_000, reserve_mb: 0 }];
    let running = BTreeMap::from([("a".into(), host.generation("a"))]);
    let actions = host.hear(Change::NodeSeen { node: "n".into(), devices, running, unread: false });
    assert_eq!(stopped(&actions), [("a".to_owned(), StopReason::Tainted)]);
}

#[test]
fn a_start_that_takes_too_long_is_stopped_and_tried_again_later() {
    let mut host = Host::new(&[24_000]);
    host.service(Service::new("a", "t", 4_000));
    host.submit("1", "t", 3);
    assert_eq!(stopped(&host.at(120_000)), [("a".to_owned(), StopReason::StartTimedOut)]);
    assert_eq!(started(&host.stopped("a")), []);
    assert!(matches!(host.reason("1"), Reason::StartFailed { failures: 1, .. }));
    assert_eq!(started(&host.at(125_000)), [on("a", "n0")]);
}

#[test]
fn a_person_starts_a_service_without_a_job_and_drains_it_with_a_bound() {
    let mut host = Host::new(&[24_000]);
    host.service(Service::new("a", "t", 4_000));
    assert_eq!(started(&host.hear(Change::StartAsked { service: "a".into() })), [on("a", "n0")]);
    host.ready("a");
    host.submit("1", "t", 3);
    assert_eq!(stopped(&host.hear(Change::StopAsked { service: "a".into(), drain: true })), []);
    assert_eq!(interrupted(&host.at(30_000)), [("1".to_owned(), Interruption::Drained)]);
    let actions = host.job("1", JobEvent::Interrupted { attempt: 1 });
    assert_eq!(stopped(&actions), [("a".to_owned(), StopReason::Asked)]);
    assert_eq!(host.status("1"), JobStatus::Queued);
}

#[test]
fn a_wait_is_estimated_once_runtimes_are_known() {
    let mut host = Host::new(&[24_000]);
    host.service(Service::new("a", "t", 4_000));
    for round in 0..6_i64 {
        host.submit(&format!("r{round}"), "t", 3);
        if round == 0 {
            host.ready("a");
        }
        host.at(round * 10_000 + 4_000);
        host.complete(&format!("r{round}"));
        host.at(round * 10_000 + 10_000);
    }
    for id in ["x", "y", "z"] {
        host.submit(id, "t", 3);
    }
    let z = host.engine.explain(&"z".into()).unwrap();
    assert_eq!(z.position, Some(2));
    let estimate = z.estimate.unwrap();
    assert!(estimate.low_ms >= 4_000 && estimate.high_ms <= 10_000, "{estimate:?}");
}
