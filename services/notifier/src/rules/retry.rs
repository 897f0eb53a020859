//! When a failed attempt is made again.

use std::time::Duration;

/// A server may ask for more patience than planned, but not for more than this.
const MOST_PATIENCE: Duration = Duration::from_secs(24 * 3_600);

/// Waits between attempts: after the last one, a message is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    waits: Vec<Duration>,
}

impl Schedule {
    pub(crate) fn new(waits: Vec<Duration>) -> Self {
        Self { waits }
    }

    /// How long to wait after so many failed attempts (from 1); none when it is given up. A tenth is spread by `id`, so
    /// that messages that failed together do not come back together.
    pub(crate) fn wait(&self, failed: u32, asked: Option<Duration>, id: &str) -> Option<Duration> {
        let planned = *self.waits.get(usize::try_from(failed).ok()?.checked_sub(1)?)?;
        let spread = id.bytes().fold(0_u32, |sum, byte| (sum * 31 + u32::from(byte)) % 1_000);
        let planned = planned + planned / 10_000 * spread;
        Some(asked.map_or(planned, |asked| planned.max(asked.min(MOST_PATIENCE))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_spread_over_the_schedule_and_end_with_it() {
        let schedule = Schedule::new(vec![Duration::from_secs(10), Duration::from_secs(100)]);
        let first = schedule.wait(1, None, "a").unwrap();
        assert!(first >= Duration::from_secs(10) && first < Duration::from_secs(11), "{first:?}");
        assert_ne!(schedule.wait(1, None, "a"), schedule.wait(1, None, "b"), "two messages do not come together");
        assert!(schedule.wait(2, None, "a").unwrap() >= Duration::from_secs(100));
        assert_eq!(schedule.wait(3, None, "a"), None);
        assert_eq!(schedule.wait(0, None, "a"), None);
    }

    #[test]
    fn a_server_may_ask_for_more_patience_but_not_for_ever() {
        let schedule = Schedule::new(vec![Duration::from_secs(10)]);
        let wait = |asked| schedule.wait(1, Some(Duration::from_secs(asked)), "a").unwrap();
        assert!(wait(1) >= Duration::from_secs(10), "nobody shortens it");
        assert_eq!(wait(60), Duration::from_secs(60));
        assert_eq!(wait(u64::MAX), MOST_PATIENCE);
    }
}
