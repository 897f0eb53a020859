//! Where in the stream a run's records lie: a sparse list that lets a replay begin near its cursor.

use serde::{Deserialize, Serialize};

/// Entries kept at most; when there are more, every second goes and the spacing doubles.
const MOST: usize = 64;
/// Records between two entries at first.
const SPACING: u64 = 128;

/// Pairs of (records before a message, sequence of that message), rising.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    spacing: u64,
    entries: Vec<(u64, u64)>,
}

impl Default for Marks {
    fn default() -> Self {
        Self { spacing: SPACING, entries: Vec::new() }
    }
}

impl Marks {
    /// Notes a stored message. The first of a run is always kept.
    pub fn note(&mut self, records_before: u64, sequence: u64) {
        let far = self.entries.last().is_none_or(|(cursor, _)| records_before >= cursor + self.spacing);
        if !far {
            return;
        }
        self.entries.push((records_before, sequence));
        if self.entries.len() > MOST {
            let mut place = 0;
            self.entries.retain(|_| {
                place += 1;
                place % 2 == 1
            });
            self.spacing *= 2;
        }
    }

    /// A sequence at or before the message that holds the record after `cursor`, if one is known.
    pub fn lower_bound(&self, cursor: u64) -> Option<u64> {
        let place = self.entries.partition_point(|(before, _)| *before <= cursor);
        self.entries.get(place.checked_sub(1)?).map(|(_, sequence)| *sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_bound_is_never_behind_the_record_and_the_list_stays_short() {
        let mut marks = Marks::default();
        let place = |cursor: u64| cursor * 3 + 7;
        for step in 0..200_000 {
            marks.note(step * 2, place(step * 2));
        }
        assert!(marks.entries.len() <= MOST);
        assert_eq!(marks.lower_bound(0), Some(place(0)));
        for cursor in [0, 1, 500, 77_777, 399_999] {
            let bound = marks.lower_bound(cursor).unwrap();
            assert!(bound <= place(cursor), "{cursor}");
            assert!(place(cursor) - bound <= 3 * 2 * marks.spacing.max(1), "{cursor} is far from {bound}");
        }
    }
}
