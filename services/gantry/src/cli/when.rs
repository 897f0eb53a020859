//! Times as a person reads them: how long ago, how long it took, how far in.

use domain::Time;
use serde_json::Value;

/// Now.
pub(super) fn now() -> Time {
    jiff::Timestamp::now().into()
}

/// The moment that a JSON text names.
pub(super) fn moment(value: &Value) -> Option<Time> {
    value.as_str()?.parse().ok()
}

/// How long ago a moment was: `12s`, `5m`, `3h`, `2d`; nothing for no moment.
pub(super) fn age(value: &Value) -> String {
    moment(value).map_or(String::new(), |then| rough(now().as_micros() - then.as_micros()))
}

/// A duration to one unit.
pub(super) fn rough(micros: i64) -> String {
    let seconds = micros.max(0) / 1_000_000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A duration with the precision that its size deserves: `3ms`, `1.24s`, `2m 5s`.
pub(super) fn took(micros: i64) -> String {
    let micros = micros.max(0);
    match micros {
        0..1_000 => format!("{micros}µs"),
        1_000..1_000_000 => format!("{}ms", micros / 1_000),
        1_000_000..60_000_000 => format!("{}.{:02}s", micros / 1_000_000, micros % 1_000_000 / 10_000),
        60_000_000..3_600_000_000 => format!("{}m {}s", micros / 60_000_000, micros / 1_000_000 % 60),
        _ => format!("{}h {}m", micros / 3_600_000_000, micros / 60_000_000 % 60),
    }
}

/// How far into a run: `   0.004s`, minutes and hours in front once there are any.
pub(super) fn offset(micros: i64) -> String {
    let (millis, seconds) = (micros.max(0) / 1_000 % 1_000, micros.max(0) / 1_000_000);
    let text = match seconds {
        0..60 => format!("{seconds}.{millis:03}s"),
        60..3_600 => format!("{}:{:02}.{millis:03}", seconds / 60, seconds % 60),
        _ => format!("{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60),
    };
    format!("{text:>9}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_precision_that_their_size_deserves() {
        let cases = [(900, "900µs"), (3_200, "3ms"), (1_240_000, "1.24s"), (125_000_000, "2m 5s"), (-5, "0µs")];
        for (micros, text) in cases {
            assert_eq!(took(micros), text);
        }
        assert_eq!(offset(4_200), "   0.004s");
        assert_eq!(offset(61_500_000), " 1:01.500");
        assert_eq!(
            (rough(59_000_000), rough(90_000_000), rough(90_000_000_000)),
            ("59s".into(), "1m".into(), "1d".into())
        );
    }
}
