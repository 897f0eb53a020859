//! Notices and callbacks of jobs, from the real control log.

use crate::receiver::Receiver;
use crate::world::{Ntfy, World, stop};
use domain::Time;
use domain::control::{JobEnd, JobId, JobState, JobView, Notice, NoticeKind};
use serde_json::json;
use serde_json::value::RawValue;

fn job(id: &str, status: JobState, callback_url: Option<&str>) -> JobView {
    let at = now();
    serde_json::from_value(json!({
        "id": id, "place": 1, "service_type": "image", "service_name": "img", "pinned": false, "priority": 3,
        "status": status, "cancelling": false, "callback_url": callback_url, "created_at": at, "started_at": at,
        "completed_at": "2026-11-20T23:30:33.485608+00:00", "paused_at": null, "paused_by_job_id": null,
        "error": null, "ttl_seconds": null, "attempts": 1, "failures": 0, "max_attempts": 3, "deadline": null,
        "retry_at": null, "preempt_count": 1, "progress": null, "has_snapshot": false,
    }))
    .unwrap()
}

fn now() -> Time {
    jiff::Timestamp::now().into()
}

async fn told(world: &World, notices: &[Notice]) {
    let log = world.bus.control_log();
    let body = serde_json::to_vec(&json!({ "notices": notices })).unwrap();
    let expected = world.bus.notices_end().await.unwrap();
    let writer = format!("test-{}", now().as_micros());
    let outcome = log.append(expected, &writer, &body.into()).await.unwrap();
    assert!(matches!(outcome, bus::CommitOutcome::Stored(_)), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_scheduler_tells_is_pushed_in_the_contracts_words_and_called_back_with_the_result() {
    let (world, ntfy, receiver) = (World::new().await, Ntfy::start(&[]).await, Receiver::start([]));
    let tasks = world.notifier(&[("NTFY_ENABLED", "true"), ("NTFY_URL", &ntfy.url)]);
    let id = "a6dcb332-1111-4222-8333-444455556666";
    let notice = |kind, status, url| Notice {
        at: now(),
        kind,
        job: Some(Box::new(job(id, status, url))),
        service: Some("img".into()),
        host: None,
    };
    let by = Some(JobId::new("619fa9ae-1111-4222-8333-444455556666"));
    told(&world, &[notice(NoticeKind::JobSubmitted, JobState::Queued, None)]).await;
    told(&world, &[notice(NoticeKind::JobPreempted { by }, JobState::Paused, None)]).await;
    ntfy.after(1).await;
    told(&world, &[notice(NoticeKind::JobResumed, JobState::Queued, None)]).await;
    ntfy.after(2).await;
    let result = RawValue::from_string("{\"z\":1, \"a\":[]}".to_owned()).unwrap();
    world.bus.job_documents().store_end(&JobId::new(id), &JobEnd { attempt: 1, result }).await.unwrap();
    told(&world, &[notice(NoticeKind::JobCompleted, JobState::Completed, Some(&receiver.url))]).await;
    let pushed = ntfy.after(3).await;
    let said: Vec<(&str, &str)> =
        pushed.iter().map(|one| (one["title"].as_str().unwrap(), one["message"].as_str().unwrap())).collect();
    assert_eq!(
        said,
        [
            ("Job preempted on img", "Job a6dcb332 paused — preempted by higher-priority job 619fa9ae."),
            ("Job resumed on img", "Paused job a6dcb332 resumed on img."),
            ("Job completed on img", "Job a6dcb332 completed successfully."),
        ]
    );
    let received = receiver.after(1).await;
    assert_eq!(
        std::str::from_utf8(&received[0].body).unwrap(),
        format!(
            "{{\"job_id\":\"{id}\",\"status\":\"completed\",\"result\":{{\"z\":1, \"a\":[]}},\"error\":null,\
             \"timestamp\":\"2026-11-20T23:30:33.485608+00:00\"}}"
        )
    );
    stop(tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_of_a_job_is_called_back_the_expired_and_cancelled_ones_too() {
    let (world, receiver) = (World::new().await, Receiver::start([]));
    let tasks = world.notifier(&[]);
    let ends = [
        (NoticeKind::JobExpired, JobState::Expired),
        (NoticeKind::JobCancelled, JobState::Cancelled),
        (NoticeKind::JobFailed { error: "no".to_owned() }, JobState::Failed),
    ];
    for (number, (kind, status)) in ends.into_iter().enumerate() {
        let job = job(&format!("j{number}"), status, Some(&receiver.url));
        told(&world, &[Notice { at: now(), kind, job: Some(Box::new(job)), service: None, host: None }]).await;
        let received = receiver.after(number + 1).await;
        let body: serde_json::Value = serde_json::from_slice(&received[number].body).unwrap();
        assert_eq!(
            (&body["job_id"], &body["status"], &body["result"]),
            (&json!(format!("j{number}")), &json!(status.as_str()), &json!(null))
        );
    }
    stop(tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_host_speaks_for_the_jobs_that_fail_with_it() {
    let (world, ntfy) = (World::new().await, Ntfy::start(&[]).await);
    let tasks = world.notifier(&[("NTFY_ENABLED", "true"), ("NTFY_URL", &ntfy.url)]);
    let of_node = |kind| Notice { at: now(), kind, job: None, service: None, host: None };
    let failed = |id: &str, node: &str| Notice {
        at: now(),
        kind: NoticeKind::JobFailed { error: "its node fell silent while it ran".to_owned() },
        job: Some(Box::new(job(id, JobState::Failed, None))),
        service: Some("img".into()),
        host: Some(node.to_owned()),
    };
    told(&world, &[of_node(NoticeKind::NodeLost { node: "gpu-1".to_owned() })]).await;
    told(&world, &[failed("with-it", "gpu-1"), failed("elsewhere", "gpu-2")]).await;
    ntfy.after(2).await;
    told(&world, &[of_node(NoticeKind::NodeSeen { node: "gpu-1".to_owned() }), failed("later", "gpu-1")]).await;
    let pushed = ntfy.after(3).await;
    let said: Vec<&str> = pushed.iter().map(|one| one["message"].as_str().unwrap()).collect();
    assert!(!said.iter().any(|text| text.contains("with-it")), "{said:?}");
    assert!(said.iter().any(|text| text.contains("elsewher")) && said.iter().any(|text| text.contains("later")));
    stop(tasks).await;
}
