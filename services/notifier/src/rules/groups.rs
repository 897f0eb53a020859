//! Holding notices back for a moment, so that what happens together is told together.

use domain::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// Members after which a group does not wait any longer.
const MOST: usize = 64;

/// Groups that wait for their window to end.
#[derive(Debug)]
pub(crate) struct Groups<K, T> {
    window: Duration,
    open: BTreeMap<K, Group<T>>,
}

#[derive(Debug)]
struct Group<T> {
    due: Time,
    members: Vec<T>,
}

impl<K: Ord + Clone, T> Groups<K, T> {
    pub(crate) fn new(window: Duration) -> Self {
        Self { window, open: BTreeMap::new() }
    }

    /// Adds a member. The window of a group is open from its first member on, whatever comes later.
    pub(crate) fn add(&mut self, key: K, now: Time, member: T) {
        let window = i64::try_from(self.window.as_micros()).unwrap_or(i64::MAX);
        let group = self.open.entry(key).or_insert_with(|| Group { due: now.plus_micros(window), members: Vec::new() });
        group.members.push(member);
        if group.members.len() >= MOST {
            group.due = now;
        }
    }

    /// Takes the groups out whose window has ended.
    pub(crate) fn take_due(&mut self, now: Time) -> Vec<(K, Vec<T>)> {
        let due: Vec<K> = self.open.iter().filter(|(_, group)| group.due <= now).map(|(key, _)| key.clone()).collect();
        due.into_iter().filter_map(|key| self.open.remove(&key).map(|group| (key, group.members))).collect()
    }

    /// When the next window ends.
    pub(crate) fn next_due(&self) -> Option<Time> {
        self.open.values().map(|group| group.due).min()
    }

    /// Everything that waits.
    pub(crate) fn members(&self) -> impl Iterator<Item = &T> {
        self.open.values().flat_map(|group| &group.members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_open_from_the_first_member_on() {
        let mut groups = Groups::new(Duration::from_micros(10));
        let at = Time::from_micros;
        groups.add("a", at(0), 1);
        groups.add("b", at(4), 2);
        groups.add("a", at(9), 3);
        assert_eq!(groups.next_due(), Some(at(10)));
        assert_eq!(groups.members().count(), 3);
        assert_eq!(groups.take_due(at(9)), []);
        assert_eq!(groups.take_due(at(10)), [("a", vec![1, 3])]);
        assert_eq!(groups.take_due(at(20)), [("b", vec![2])]);
        assert_eq!(groups.next_due(), None);
    }

    #[test]
    fn a_full_group_does_not_wait() {
        let mut groups = Groups::new(Duration::from_secs(60));
        for n in 0..MOST {
            assert_eq!(groups.take_due(Time::from_micros(1)), [], "{n}");
            groups.add("a", Time::from_micros(1), n);
        }
        assert_eq!(groups.take_due(Time::from_micros(1)).len(), 1);
    }
}
