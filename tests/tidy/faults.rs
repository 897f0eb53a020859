//! Law: each of the 28 faults of an older gateway for GPU services has a test here that shows the better behaviour.
//!
//! Gantry speaks that gateway's HTTP and must not inherit what was wrong with it. The list below is the place to look
//! when one asks whether a fault may come back: a test that is renamed or removed has to be replaced here.

use crate::expect_none;
use crate::repository::root;

/// A fault: its number, what was wrong, and the tests that hold what is right, as `file: function`.
struct Fault {
    number: u32,
    wrong: &'static str,
    tests: &'static [(&'static str, &'static [&'static str])],
}

const fn fault(number: u32, wrong: &'static str, tests: &'static [(&'static str, &'static [&'static str])]) -> Fault {
    Fault { number, wrong, tests }
}

const HTTP: &str = "tests/it/faults.rs";
const CONTROL: &str = "tests/it/control.rs";
const SECURITY: &str = "tests/it/security.rs";
const FAULTY: &str = "tests/it/gpu/faulty.rs";
const SURFACE: &str = "services/api/tests/surface/control.rs";
const JOBS: &str = "services/scheduler/tests/it/jobs.rs";
const ORDERS: &str = "services/scheduler/tests/it/orders.rs";
const PREEMPTION: &str = "services/scheduler/tests/it/preemption.rs";
const TAKEOVER: &str = "services/scheduler/tests/it/takeover.rs";
const CONTAINERS: &str = "services/scheduler/tests/it/containers.rs";
const RULES: &str = "shared/placement/tests/rules.rs";
const SMI: &str = "services/gpu-monitor/tests/nvidia_smi.rs";

const FAULTS: &[Fault] = &[
    fault(
        1,
        "one refused change of a service's registration blocked every later write, submissions included",
        &[
            (HTTP, &["a_refused_write_of_the_registry_changes_nothing_and_holds_up_nobody"]),
            (CONTROL, &["a_services_switches_and_filters_do_what_they_say"]),
        ],
    ),
    fault(
        2,
        "a preempted job went on beside the urgent one, and its late answer overwrote its state",
        &[
            (PREEMPTION, &["the_victim_stops_first_and_resumes_from_its_snapshot"]),
            (CONTAINERS, &["a_victim_that_cannot_be_asked_loses_its_container_before_its_slot_is_given_away"]),
            (RULES, &["a_result_of_a_superseded_attempt_is_refused"]),
            ("tests/it/gpu/services.rs", &["a_job_that_made_way_goes_on_from_its_snapshot_and_no_slot_is_doubled"]),
            (FAULTY, &["a_service_that_does_not_stop_loses_its_container_and_holds_up_nobody"]),
        ],
    ),
    fault(
        3,
        "an urgent job began two rounds of ten seconds after its submission",
        &[(PREEMPTION, &["the_victim_stops_first_and_resumes_from_its_snapshot"])],
    ),
    fault(
        4,
        "jobs that ran when the gateway ended ran for ever: not retried, not to be cancelled",
        &[
            (HTTP, &["a_running_job_outlives_a_killed_gateway_with_its_progress_and_can_be_steered_after"]),
            (TAKEOVER, &["a_standby_takes_over_within_five_seconds_and_no_job_is_lost_or_sent_twice_in_one_attempt"]),
        ],
    ),
    fault(
        5,
        "a job ran elsewhere than on the service that it named, and did not say where it ran",
        &[
            (JOBS, &["a_pinned_job_runs_where_it_says_and_every_job_says_where_it_ran"]),
            (RULES, &["a_pin_is_honoured_and_an_idle_sibling_stays_idle"]),
        ],
    ),
    fault(
        6,
        "a priority that is no number was stored, and every later round of scheduling stumbled over it",
        &[
            (SURFACE, &["a_submission_is_checked_field_by_field"]),
            (HTTP, &["a_refused_write_of_the_registry_changes_nothing_and_holds_up_nobody"]),
        ],
    ),
    fault(
        7,
        "a service whose start took too long, or whose container ended, was starting for ever",
        &[
            (FAULTY, &["a_service_that_never_becomes_healthy_is_given_up_and_its_room_given_away"]),
            ("tests/it/gpu/services.rs", &["a_service_that_exits_after_its_start_says_so_and_can_be_taken_back"]),
            (RULES, &["a_start_that_takes_too_long_is_stopped_and_tried_again_later"]),
        ],
    ),
    fault(
        8,
        "a drain that timed out was told as a success, and cost its job an attempt",
        &[
            (FAULTY, &["a_drain_that_is_not_over_in_time_says_so_and_its_job_is_queued_again"]),
            (CONTAINERS, &["a_drain_that_is_not_over_in_time_puts_the_job_back_without_a_failure"]),
        ],
    ),
    fault(
        9,
        "of several services of one type only one was given a job per round",
        &[
            (JOBS, &["as_many_services_of_one_type_as_there_are_work_at_the_same_time"]),
            (RULES, &["several_services_of_a_type_and_several_slots_of_a_service_all_work_at_once"]),
        ],
    ),
    fault(
        10,
        "a paused job was not cancelled although the answer was good, and a running one could not be",
        &[
            (HTTP, &["a_paused_job_is_cancelled_when_that_is_asked_for"]),
            (CONTROL, &["a_running_job_is_cancelled_only_when_that_is_asked_for_and_a_waiting_one_says_why"]),
            (PREEMPTION, &["a_paused_job_can_be_cancelled_and_does_not_come_back"]),
        ],
    ),
    fault(
        11,
        "an expired job was deleted without a word",
        &[
            (HTTP, &["an_expired_job_is_shown_as_that_and_its_end_is_called_back"]),
            (JOBS, &["a_job_that_waits_too_long_expires_and_is_remembered"]),
            (
                "services/notifier/tests/it/control.rs",
                &["every_end_of_a_job_is_called_back_the_expired_and_cancelled_ones_too"],
            ),
        ],
    ),
    fault(
        12,
        "every job had the same time limit; one that reached it had an empty error and went on beside its retry",
        &[
            (
                PREEMPTION,
                &[
                    "a_services_time_limit_ends_each_attempt_before_the_next_begins_and_the_error_says_so",
                    "an_attempt_that_takes_too_long_is_stopped_and_says_so",
                ],
            ),
            (FAULTY, &["an_attempt_over_its_time_limit_is_ended_with_its_container_before_the_next_begins"]),
            (JOBS, &["a_failed_attempt_is_made_again_after_a_pause_and_its_error_says_what_the_service_said"]),
        ],
    ),
    fault(13, "several versions were told of one gateway", &[(HTTP, &["one_version_is_told_everywhere"])]),
    fault(
        14,
        "a host with several GPUs was read as one without memory",
        &[
            (SMI, &["every_gpu_of_a_host_is_read"]),
            (SURFACE, &["gpus_are_summed_over_all_that_report_and_none_is_told_with_its_reason"]),
            (RULES, &["pins_to_nodes_and_gpus_are_honoured", "two_gpus_of_one_node_are_taken_together"]),
        ],
    ),
    fault(
        15,
        "a host without a GPU offered its main memory as a GPU's",
        &[
            (
                "services/gpu-monitor/src/devices/choose.rs",
                &["a_host_without_a_driver_has_no_gpu_and_says_how_that_is_known"],
            ),
            (RULES, &["a_host_without_a_gpu_has_no_room_for_what_needs_one_however_much_memory_it_has"]),
        ],
    ),
    fault(
        16,
        "memory of processes that were not listed was taken for free",
        &[
            (RULES, &["what_other_programs_hold_is_not_given_away"]),
            (
                "services/gpu-monitor/src/devices/describe.rs",
                &["only_a_product_known_to_share_memory_counts_the_systems"],
            ),
            (FAULTY, &["memory_that_is_measured_counts_more_than_what_was_declared"]),
        ],
    ),
    fault(
        17,
        "services that were still loading did not count, so two starts fitted that did not fit together",
        &[
            (CONTAINERS, &["what_is_starting_counts_however_much_is_measured_free"]),
            (
                RULES,
                &[
                    "what_is_starting_counts_and_one_start_at_a_time_goes_on_a_gpu",
                    "the_next_start_waits_until_measured_memory_is_quiet",
                ],
            ),
        ],
    ),
    fault(
        18,
        "no idle service made room for another",
        &[
            (CONTAINERS, &["an_idle_service_makes_room_and_a_busy_one_does_not"]),
            (RULES, &["an_idle_service_is_evicted_when_another_needs_its_room_and_one_a_person_started_is_not"]),
        ],
    ),
    fault(
        19,
        "a container that took its time to stop, or a driver that hung, froze everything else",
        &[
            (FAULTY, &["a_service_that_does_not_stop_loses_its_container_and_holds_up_nobody"]),
            (
                "services/gpu-monitor/tests/engine/orders.rs",
                &["a_container_that_takes_its_time_to_stop_holds_up_no_other"],
            ),
            (SMI, &["a_program_that_hangs_is_given_up_and_ended"]),
        ],
    ),
    fault(
        20,
        "registrations were stored whatever their values were",
        &[
            (SURFACE, &["a_registration_is_refused_in_the_contracts_order_and_for_every_wrong_value"]),
            (HTTP, &["a_refused_write_of_the_registry_changes_nothing_and_holds_up_nobody"]),
        ],
    ),
    fault(
        21,
        "a service could be given a name with which no route reached it",
        &[(SURFACE, &["a_registration_is_refused_in_the_contracts_order_and_for_every_wrong_value"])],
    ),
    fault(
        22,
        "health checks and callbacks could be led to other hosts",
        &[
            (
                "services/scheduler/tests/it/services.rs",
                &["an_address_of_this_network_needs_the_setting_and_an_endpoint_cannot_leave_its_host"],
            ),
            ("services/scheduler/src/address.rs", &["an_endpoint_cannot_lead_to_another_host"]),
            (
                "services/notifier/tests/it/callbacks.rs",
                &["a_callback_to_a_private_address_is_refused_unless_it_is_allowed"],
            ),
            (
                "services/notifier/tests/it/webhooks.rs",
                &["a_private_target_is_refused_directly_by_name_and_behind_a_redirect"],
            ),
            (SURFACE, &["a_submission_is_checked_field_by_field"]),
        ],
    ),
    fault(
        23,
        "without a setting everybody was let in and every page, and pushes went to a public topic",
        &[
            (SECURITY, &["a_newcomer_needs_no_token_of_their_own"]),
            (
                "services/api/src/auth/credentials.rs",
                &["only_a_listed_token_is_accepted_and_it_is_named_by_its_fingerprint"],
            ),
            (HTTP, &["pages_from_elsewhere_are_kept_out_and_operators_see_what_happens"]),
            (
                "services/notifier/src/config.rs",
                &["nothing_is_on_unless_it_is_configured", "pushes_that_everybody_can_read_are_known_as_that"],
            ),
        ],
    ),
    fault(
        24,
        "results could be read only as JSON within a text",
        &[(HTTP, &["a_result_is_read_as_the_service_answered_it"])],
    ),
    fault(
        25,
        "asking for the disabled services answered with all of them",
        &[(CONTROL, &["a_services_switches_and_filters_do_what_they_say"])],
    ),
    fault(
        26,
        "no idempotency, lists, batches, metrics, request ids, limits, retention or audit",
        &[
            (
                SURFACE,
                &[
                    "a_job_is_accepted_durably_while_no_scheduler_runs_and_a_key_names_it_for_ever",
                    "a_batch_is_stored_whole_and_in_its_order",
                    "a_payload_of_megabytes_is_taken_and_more_is_refused",
                ],
            ),
            (CONTROL, &["jobs_are_listed_by_filter_and_page_and_a_failed_one_says_why"]),
            (HTTP, &["pages_from_elsewhere_are_kept_out_and_operators_see_what_happens"]),
            (JOBS, &["ended_jobs_are_forgotten_with_all_that_is_stored_of_them_and_others_are_not"]),
            (
                SECURITY,
                &[
                    "every_write_is_in_the_audit_log_the_refused_ones_too",
                    "guessing_locks_the_address_out_even_with_the_right_token_and_only_for_a_while",
                    "streams_have_a_pool_of_their_own_and_leave_it_when_they_end",
                ],
            ),
        ],
    ),
    fault(
        27,
        "a job's position counted jobs of all types, so that it said nothing of its wait",
        &[
            (JOBS, &["a_position_counts_the_jobs_that_compete_and_no_others"]),
            (RULES, &["a_wait_is_estimated_once_runtimes_are_known"]),
        ],
    ),
    fault(
        28,
        "a job's progress was gone after a restart",
        &[
            (HTTP, &["a_running_job_outlives_a_killed_gateway_with_its_progress_and_can_be_steered_after"]),
            (TAKEOVER, &["a_running_jobs_progress_outlives_its_leader_and_the_job_can_be_steered_after"]),
            (ORDERS, &["a_report_of_a_superseded_attempt_is_refused"]),
        ],
    ),
];

const MOST: u32 = 28;

/// Whether a source file has a test of this name that is not left out.
fn has_test(source: &str, name: &str) -> bool {
    let Some(at) = source.find(&format!("fn {name}(")) else { return false };
    let above = source[..at].rsplit("\n\n").next().unwrap_or_default();
    let is_test = above.contains("#[test]") || above.contains("#[tokio::test");
    is_test && !above.contains("#[ignore")
}

fn complaints(faults: &[Fault], source: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut found = Vec::new();
    for number in 1..=MOST {
        let count = faults.iter().filter(|fault| fault.number == number).count();
        if count != 1 {
            found.push(format!("fault {number} is listed {count} times"));
        }
    }
    for Fault { number, wrong, tests } in faults {
        if *number == 0 || *number > MOST || wrong.is_empty() || tests.iter().all(|(_, names)| names.is_empty()) {
            found.push(format!("fault {number} ({wrong}) has no test"));
        }
        for (file, names) in *tests {
            let text = source(file);
            let lost = names.iter().filter(|name| !text.as_deref().is_some_and(|text| has_test(text, name)));
            found.extend(lost.map(|name| format!("fault {number} ({wrong}): {file} has no test {name}")));
        }
    }
    found
}

#[test]
fn each_fault_of_the_older_gateway_has_a_test_that_holds_what_is_right() {
    expect_none(&complaints(FAULTS, |file| std::fs::read_to_string(root().join(file)).ok()));
}

#[test]
fn a_missing_fault_and_a_test_that_is_gone_are_seen() {
    let all = || (1..=MOST).map(|number| fault(number, "x", &[("a.rs", &["a_law"])])).collect::<Vec<_>>();
    let text = "//! A.\n\n#[test]\nfn a_law() {}\n\n#[test]\n#[ignore]\nfn left_out() {}\n\nfn no_test() {}\n";
    let source = |file: &str| (file == "a.rs").then(|| text.to_owned());
    assert_eq!(complaints(&all(), source), Vec::<String>::new());
    let mut short = all();
    short.remove(6);
    assert_eq!(complaints(&short, source), ["fault 7 is listed 0 times"]);
    for tests in [
        &[("a.rs", &["gone"] as &[&str])],
        &[("a.rs", &["left_out"])],
        &[("a.rs", &["no_test"])],
        &[("b.rs", &["a_law"])],
    ] {
        let mut wrong = all();
        wrong[0].tests = tests;
        assert_eq!(complaints(&wrong, source).len(), 1, "{tests:?}");
    }
    let mut empty = all();
    empty[0].tests = &[];
    assert_eq!(complaints(&empty, source), ["fault 1 (x) has no test"]);
}
