//! How often a server may be asked: a bucket of requests that fills slowly, and stays shut when the server says so.

use std::time::Duration;
use tokio::time::Instant;

/// A token bucket.
#[derive(Debug)]
pub(crate) struct Limit {
    burst: u32,
    refill: Duration,
    /// When the bucket would be full again: each request moves it on by one refill.
    full_at: Instant,
    shut_until: Instant,
}

impl Limit {
    pub(crate) fn new(burst: u32, refill: Duration, now: Instant) -> Self {
        Self { burst: burst.max(1), refill, full_at: now, shut_until: now }
    }

    /// When the next request may be sent; not later than now if at once.
    pub(crate) fn next(&self) -> Instant {
        let room = self.refill * (self.burst - 1);
        let open_at = self.full_at.checked_sub(room).unwrap_or(self.shut_until);
        open_at.max(self.shut_until)
    }

    /// How long until one more request may be sent.
    pub(crate) fn refill(&self) -> Duration {
        self.refill
    }

    /// Notes that a request is being sent.
    pub(crate) fn take(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now) + self.refill;
    }

    /// Sends nothing for a while, and slowly after that.
    pub(crate) fn shut(&mut self, now: Instant, pause: Duration) {
        self.shut_until = self.shut_until.max(now + pause);
        self.full_at = self.full_at.max(self.shut_until + self.refill * (self.burst - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFILL: Duration = Duration::from_secs(5);

    #[test]
    fn after_the_burst_one_request_per_refill_is_sent() {
        let start = Instant::now() + Duration::from_secs(3_600);
        let mut limit = Limit::new(60, REFILL, start);
        for n in 0..60 {
            assert!(limit.next() <= start, "{n}");
            limit.take(start);
        }
        assert_eq!(limit.next(), start + REFILL);
        limit.take(start + REFILL);
        assert_eq!(limit.next(), start + REFILL * 2);
        let rested = start + REFILL * 600;
        limit.take(rested);
        assert!(limit.next() <= rested, "a rest fills the bucket again");
    }

    #[test]
    fn what_the_server_says_counts_more_than_the_bucket() {
        let start = Instant::now() + Duration::from_secs(3_600);
        let mut limit = Limit::new(60, REFILL, start);
        limit.shut(start, Duration::from_secs(30));
        assert_eq!(limit.next(), start + Duration::from_secs(30));
        limit.take(start + Duration::from_secs(30));
        assert!(limit.next() == start + Duration::from_secs(35), "no second burst right after it");
    }
}
