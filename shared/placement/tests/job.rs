//! A job under any events in any order.

use domain::Time;
use placement::{Interruption, Job, JobEvent, JobSpec, JobStatus, Loss, Place, Refusal};
use proptest::prelude::*;

fn event() -> impl Strategy<Value = JobEvent> {
    let deadline = Time::from_micros(1_000_000_000);
    let attempt = 0..4_u32;
    let cause = prop_oneof![
        Just(Interruption::Preempted { by: None }),
        Just(Interruption::Cancelled),
        Just(Interruption::TimedOut),
        Just(Interruption::Drained),
    ];
    let loss = prop_oneof![
        Just(Loss::ContainerExited),
        Just(Loss::ContainerStopped),
        Just(Loss::NodeLost),
        Just(Loss::ConnectionLost),
    ];
    prop_oneof![
        4 => attempt.clone().prop_map(move |attempt| JobEvent::Dispatched { attempt, service: "a".into(), generation: 1, deadline }),
        1 => attempt.clone().prop_map(|attempt| JobEvent::Progressed { attempt, done_permille: Some(1), saved: true }),
        2 => (attempt.clone(), cause).prop_map(move |(attempt, cause)| JobEvent::InterruptRequested { attempt, cause, deadline }),
        2 => attempt.clone().prop_map(|attempt| JobEvent::Interrupted { attempt }),
        1 => attempt.clone().prop_map(|attempt| JobEvent::Completed { attempt }),
        2 => attempt.clone().prop_map(|attempt| JobEvent::AttemptFailed { attempt, error: "500".to_owned() }),
        2 => (attempt, loss).prop_map(|(attempt, cause)| JobEvent::AttemptLost { attempt, cause }),
        1 => Just(JobEvent::Claimed { service: "a".into() }),
        2 => Just(JobEvent::Resumed),
        1 => (0..9_i32).prop_map(|priority| JobEvent::PriorityChanged { priority }),
        1 => Just(JobEvent::CancelRequested),
        1 => Just(JobEvent::Expired),
    ]
}

proptest! {
    #[test]
    fn no_order_of_events_puts_a_job_in_two_states_or_moves_its_place(events in prop::collection::vec(event(), 1..60)) {
        let mut job = Job::submitted(JobSpec::new("j", "t"), Place(7), Time::from_micros(0));
        for (second, event) in events.iter().enumerate() {
            let before = job.clone();
            let at = Time::from_micros(i64::try_from(second).unwrap() * 1_000_000);
            if job.apply(event, at).is_err() {
                prop_assert_eq!(&job, &before, "a refused event changes nothing");
            }
            prop_assert_eq!(job.run.is_some(), job.status == JobStatus::Running);
            prop_assert_eq!(job.paused.is_some(), job.status == JobStatus::Paused);
            prop_assert_eq!(job.ended_at.is_some(), job.status.is_terminal());
            prop_assert!(job.attempt >= before.attempt && job.failures <= job.spec.max_attempts);
            prop_assert!(!before.status.is_terminal() || job == before, "an end is an end");
            prop_assert_eq!((job.place, job.submitted_at), (Place(7), Time::from_micros(0)));
        }
    }
}

#[test]
fn each_attempt_is_dispatched_once_and_only_its_own_result_counts() {
    let at = Time::from_micros(0);
    let mut job = Job::submitted(JobSpec::new("j", "t"), Place(0), at);
    let sent = |attempt| JobEvent::Dispatched { attempt, service: "a".into(), generation: 1, deadline: at };
    assert_eq!(job.apply(&sent(2), at), Err(Refusal::Superseded { attempt: 2, current: 0 }));
    job.apply(&sent(1), at).unwrap();
    assert!(job.apply(&sent(1), at).is_err());
    job.apply(&JobEvent::AttemptLost { attempt: 1, cause: Loss::NodeLost }, at).unwrap();
    job.apply(&sent(2), at).unwrap();
    let late = job.apply(&JobEvent::Completed { attempt: 1 }, at);
    assert_eq!(late, Err(Refusal::Superseded { attempt: 1, current: 2 }));
    job.apply(&JobEvent::Completed { attempt: 2 }, at).unwrap();
    assert_eq!(job.apply(&JobEvent::CancelRequested, at), Err(Refusal::Ended { status: JobStatus::Completed }));
}
