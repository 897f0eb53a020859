//! Laws of tasks.

use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

const SOON: Duration = Duration::from_secs(5);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.expect("within the deadline")
}

#[tokio::test]
async fn a_critical_failure_names_the_task() {
    let tasks = Tasks::new();
    tasks.critical("ledger follower", async { Err::<(), _>("the stream is gone") });
    let failure = soon(tasks.failed()).await;
    assert_eq!(failure.to_string(), "the task 'ledger follower' failed: the stream is gone");
}

#[tokio::test]
async fn a_panic_is_reported_with_the_name_of_its_task() {
    let tasks = Tasks::new();
    tasks.critical("drive", async {
        assert_eq!(1 + 1, 3, "arithmetic is off");
        Ok::<(), BoxError>(())
    });
    let failure = soon(tasks.failed()).await;
    assert_eq!(failure.task, "drive");
    assert!(failure.reason.starts_with("panicked: ") && failure.reason.contains("arithmetic is off"), "{failure}");
}

#[tokio::test]
async fn a_critical_task_that_ends_early_ends_the_service() {
    let tasks = Tasks::new();
    tasks.critical("http", async { Ok::<(), BoxError>(()) });
    assert!(soon(tasks.failed()).await.reason.starts_with("ended although"));
}

#[tokio::test]
async fn a_critical_task_that_ends_at_shutdown_is_no_failure() {
    let tasks = Tasks::new();
    let stop = tasks.stop_token();
    tasks.critical("http", async move {
        stop.cancelled().await;
        Ok::<(), BoxError>(())
    });
    assert_eq!(soon(tasks.stop(SOON)).await.aborted, Vec::<String>::new());
    assert!(tasks.shared.failure.borrow().is_none());
}

#[tokio::test]
async fn only_the_first_failure_counts() {
    let tasks = Tasks::new();
    tasks.critical("first", async { Err::<(), _>("one") });
    soon(tasks.failed()).await;
    tasks.critical("second", async { Err::<(), _>("two") });
    soon(tasks.stop(SOON)).await;
    assert_eq!(soon(tasks.failed()).await.task, "first");
}

#[tokio::test]
async fn a_failed_request_does_not_end_the_service() {
    let tasks = Tasks::new();
    tasks.request("one request", async { Err::<(), _>("bad luck") });
    tasks.request("another", async { panic!("worse luck") as Result<(), BoxError> });
    assert_eq!(soon(tasks.stop(SOON)).await.aborted, Vec::<String>::new());
    assert!(tasks.shared.failure.borrow().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_supervised_task_is_started_again_until_it_succeeds() {
    let tasks = Tasks::new();
    let (attempts, done) = (Arc::new(AtomicU32::new(0)), CancellationToken::new());
    let (counter, finished) = (attempts.clone(), done.clone());
    tasks.supervised("follower", move || {
        let (attempt, finished) = (counter.fetch_add(1, Ordering::SeqCst), finished.clone());
        async move {
            assert!(attempt != 1, "the second attempt panics");
            if attempt < 3 {
                return Err("not yet");
            }
            finished.cancel();
            Ok(())
        }
    });
    soon(done.cancelled()).await;
    assert_eq!(attempts.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn the_delay_between_restarts_grows_to_a_bound() {
    let tasks = Tasks::new();
    let starts = Arc::new(Mutex::new(Vec::new()));
    let (noted, (enough, reached)) = (starts.clone(), watch::channel(false));
    tasks.supervised("hopeless", move || {
        let mut starts = lock(&noted);
        starts.push(Instant::now());
        enough.send_replace(starts.len() == 12);
        async { Err::<(), _>("never") }
    });
    let mut reached = reached;
    reached.wait_for(|enough| *enough).await.unwrap();
    let starts = lock(&starts).clone();
    let gaps: Vec<u128> = starts.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert_eq!(gaps[0], 100);
    assert!(gaps.windows(2).all(|pair| pair[0] <= pair[1]), "{gaps:?}");
    assert_eq!(gaps.last(), Some(&15_000));
}

#[tokio::test(start_paused = true)]
async fn what_outlasts_the_deadline_is_aborted_and_named() {
    let tasks = Tasks::new();
    tasks.request("stubborn", std::future::pending::<Result<(), BoxError>>());
    let begun = Instant::now();
    assert_eq!(tasks.stop(Duration::from_secs(3)).await.aborted, ["stubborn"]);
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
}

#[tokio::test]
async fn a_task_spawned_during_shutdown_is_waited_for_too() {
    let tasks = Tasks::new();
    let (stop, inner) = (tasks.stop_token(), tasks.clone());
    let ended = CancellationToken::new();
    let end = ended.clone();
    tasks.request("outer", async move {
        stop.cancelled().await;
        inner.request("inner", async move {
            tokio::task::yield_now().await;
            end.cancel();
            Ok::<(), BoxError>(())
        });
        Ok::<(), BoxError>(())
    });
    assert_eq!(soon(tasks.stop(SOON)).await.aborted, Vec::<String>::new());
    assert!(ended.is_cancelled());
}

#[tokio::test]
async fn the_running_tasks_are_listed_by_name_and_kind() {
    let tasks = Tasks::new();
    tasks.request("a request", std::future::pending::<Result<(), BoxError>>());
    assert_eq!(tasks.running(), [Running { name: "a request".to_owned(), kind: Kind::Request }]);
}
