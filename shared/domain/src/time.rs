//! The one format in which times are written, compared and sent.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A moment, written as ISO 8601 UTC with microseconds: `2026-11-20T23:26:44.103285+00:00`.
///
/// The width is fixed, so comparing texts compares moments; clients rely on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Timestamp);

/// A text that is no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an ISO 8601 time such as 2026-11-20T23:26:44+00:00")]
pub struct TimeError(String);

impl Time {
    /// From microseconds since 1970, clamped to the years that can be written.
    pub fn from_micros(micros: i64) -> Self {
        Self(Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 { Timestamp::MIN } else { Timestamp::MAX }))
    }

    /// Microseconds since 1970.
    pub fn as_micros(self) -> i64 {
        self.0.as_microsecond()
    }

    /// Later (or, when negative, earlier) by so many microseconds; stays at the ends of the calendar.
    pub fn plus_micros(self, micros: i64) -> Self {
        Self::from_micros(self.as_micros().saturating_add(micros))
    }

    /// The moment as the `jiff` type, for calendars and time zones.
    pub fn timestamp(self) -> Timestamp {
        self.0
    }

    /// As RFC 3339 with `Z`, the form that the broker's schedules take.
    pub fn rfc3339(self) -> String {
        self.0.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
    }

    /// Whole seconds only: `2026-11-20T23:26:44+00:00`.
    pub fn seconds_text(self) -> String {
        self.0.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
    }
}

impl From<Timestamp> for Time {
    fn from(moment: Timestamp) -> Self {
        Self::from_micros(moment.as_microsecond())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00"))
    }
}

impl FromStr for Time {
    type Err = TimeError;

    /// Takes an offset, `Z`, or nothing, which means UTC; a date alone is midnight.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let text = text.trim();
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Ok(moment.into());
        }
        text.parse::<jiff::civil::DateTime>()
            .ok()
            .and_then(|naive| naive.to_zoned(jiff::tz::TimeZone::UTC).ok())
            .map(|zoned| zoned.timestamp().into())
            .ok_or_else(|| TimeError(text.to_owned()))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_microseconds_and_offset() {
        let time: Time = "2026-11-20T23:26:44.103285Z".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-20T23:26:44.103285+00:00");
        assert_eq!(time.seconds_text(), "2026-11-20T23:26:44+00:00");
        assert_eq!("2026-11-20".parse::<Time>().unwrap().to_string(), "2026-11-20T00:00:00.000000+00:00");
        assert_eq!("2026-11-20T01:00:00".parse::<Time>().unwrap().to_string(), "2026-11-20T01:00:00.000000+00:00");
        assert!("soon".parse::<Time>().is_err());
    }
}
