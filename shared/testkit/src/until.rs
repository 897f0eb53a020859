//! Waiting for a value with a deadline, never for a time.

use std::time::Duration;
use tokio::time::Instant;

/// What a busy machine gets for anything that should take a moment.
pub const SOON: Duration = Duration::from_secs(30);

const BETWEEN: Duration = Duration::from_millis(20);

/// Looks until there is a value. An error is not the end but the present state, and the last one is told at the deadline.
///
/// # Panics
/// When there is no value at the deadline.
pub async fn until<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + within;
    let mut last = "nothing was seen yet".to_owned();
    loop {
        match tokio::time::timeout_at(deadline, look()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(state)) => last = state,
            Err(_) => panic!("waited {within:?} for {what}; at last: {last}"),
        }
        assert!(Instant::now() + BETWEEN < deadline, "waited {within:?} for {what}; at last: {last}");
        tokio::time::sleep(BETWEEN).await;
    }
}
