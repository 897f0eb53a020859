//! How long the phases of a model's requests may take, where that differs from the proxy's own settings.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Shortest and longest time that can be said, in seconds: a millisecond and a week.
pub(super) const SECONDS: std::ops::RangeInclusive<f64> = 0.001..=604_800.0;

/// Times of one model, in seconds; what is not said is as in the proxy's settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelTimeouts {
    /// Until a backend takes the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_s: Option<f64>,
    /// In the queue of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_s: Option<f64>,
    /// For a server that sleeps to wake up, or for a service to start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_s: Option<f64>,
    /// Until a stream's first event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_s: Option<f64>,
    /// From one event to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub between_tokens_s: Option<f64>,
    /// From the arrival of the request to the answer's last byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_s: Option<f64>,
}

impl ModelTimeouts {
    /// Every time with its name.
    pub fn named(&self) -> [(&'static str, Option<f64>); 6] {
        [
            ("connect_s", self.connect_s),
            ("queue_s", self.queue_s),
            ("start_s", self.start_s),
            ("first_token_s", self.first_token_s),
            ("between_tokens_s", self.between_tokens_s),
            ("total_s", self.total_s),
        ]
    }

    /// Refuses what is no time between a millisecond and a week.
    pub fn check(&self) -> Result<(), String> {
        let wrong = |seconds: f64| !SECONDS.contains(&seconds);
        match self.named().into_iter().find(|(_, seconds)| seconds.is_some_and(wrong)) {
            Some((name, seconds)) => Err(format!(
                "timeouts: {name} is {}, and must be from {} to {} seconds",
                seconds.unwrap_or_default(),
                SECONDS.start(),
                SECONDS.end()
            )),
            None => Ok(()),
        }
    }
}

/// A checked number of seconds as a duration; what is out of range is brought into it.
pub fn duration(seconds: f64) -> Duration {
    let seconds = if seconds.is_nan() { *SECONDS.end() } else { seconds };
    Duration::from_secs_f64(seconds.clamp(*SECONDS.start(), *SECONDS.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_of_range_is_refused_by_its_name() {
        for wrong in [0.0, -1.0, 0.0001, 604_801.0, f64::NAN, f64::INFINITY] {
            let timeouts = ModelTimeouts { first_token_s: Some(wrong), ..ModelTimeouts::default() };
            assert!(timeouts.check().unwrap_err().contains("first_token_s"), "{wrong}");
            assert!(SECONDS.contains(&duration(wrong).as_secs_f64()), "{wrong}");
        }
        let all = ModelTimeouts { connect_s: Some(0.001), total_s: Some(604_800.0), ..ModelTimeouts::default() };
        assert_eq!((all.check(), ModelTimeouts::default().check()), (Ok(()), Ok(())));
    }
}
