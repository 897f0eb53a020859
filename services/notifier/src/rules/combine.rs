//! Several notices as one.

use domain::digest_hex;
use domain::notices::{MOST_ACTIONS, Notice};
use std::collections::BTreeSet;

/// Notices that a combined one shows; it says how many more there are.
const SHOWN: usize = 10;

/// One notice that says what these say, in order: the same one twice counts once, and of one subject only the last is
/// told. None when there are none.
pub(crate) fn combine(notices: &[&Notice]) -> Option<Notice> {
    let mut told: Vec<&Notice> = Vec::new();
    for notice in notices {
        told.retain(|other| other.id != notice.id && (other.subject.is_none() || other.subject != notice.subject));
        told.push(notice);
    }
    let (last, before) = told.split_last()?;
    if before.is_empty() {
        return Some((*last).clone());
    }
    let ids: Vec<&[u8]> = told.iter().map(|notice| notice.id.as_bytes()).collect();
    let same_title = before.iter().all(|notice| notice.title == last.title);
    let title = if same_title {
        format!("{} × {}", told.len(), last.title)
    } else {
        format!("{} notices, last: {}", told.len(), last.title)
    };
    let mut combined = Notice::new(format!("group:{}", digest_hex(&ids)), last.kind, last.at, title);
    combined.text = text(&told, same_title);
    combined.priority = told.iter().map(|notice| notice.priority).max().unwrap_or_default();
    let mut known = BTreeSet::new();
    combined.tags = told.iter().flat_map(|notice| &notice.tags).filter(|tag| known.insert(*tag)).cloned().collect();
    combined.actions = told.iter().flat_map(|notice| &notice.actions).take(MOST_ACTIONS).cloned().collect();
    Some(combined)
}

fn text(told: &[&Notice], same_title: bool) -> String {
    let mut lines: Vec<String> = told.iter().take(SHOWN).map(|notice| line(notice, same_title)).collect();
    if told.len() > SHOWN {
        lines.push(format!("… and {} more", told.len() - SHOWN));
    }
    lines.join("\n")
}

/// Its first line, behind its title where that differs.
fn line(notice: &Notice, same_title: bool) -> String {
    let first = notice.text.lines().next().unwrap_or_default();
    match (same_title, first.is_empty()) {
        (true, false) => first.to_owned(),
        (false, false) => format!("{}: {first}", notice.title),
        (_, true) => notice.title.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Time;
    use domain::notices::Priority;

    fn at(second: i64) -> Time {
        Time::from_micros(second * 1_000_000)
    }

    #[test]
    fn one_notice_stays_itself_also_when_it_came_twice() {
        let notice = Notice::job_completed("j", "img", at(1));
        assert_eq!(combine(&[&notice, &notice]), Some(notice));
        assert_eq!(combine(&[]), None);
    }

    #[test]
    fn of_one_subject_only_the_last_is_told() {
        let started = Notice::job_started("j", 1, "img", at(1));
        let done = Notice::job_completed("j", "img", at(2));
        assert_eq!(combine(&[&started, &done]), Some(done));
    }

    #[test]
    fn several_are_one_with_their_count_their_lines_and_the_highest_priority() {
        let notices: Vec<Notice> =
            (0..12).map(|n| Notice::job_failed(&format!("job-{n}"), "img", "no", at(n))).collect();
        let combined = combine(&notices.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(combined.title, "12 × Job failed on img");
        assert_eq!(combined.text.lines().count(), 11, "{}", combined.text);
        assert!(combined.text.starts_with("Job job-0 failed: no\n") && combined.text.ends_with("… and 2 more"));
        assert_eq!(combined.tags, ["x"]);
        assert_eq!(combined.at, at(11));

        let done = Notice::job_completed("other", "ta", at(20));
        let mixed = combine(&[&notices[0], &done]).unwrap();
        assert_eq!(mixed.title, "2 notices, last: Job completed on ta");
        assert_eq!(mixed.priority, Priority::High);
        assert_eq!(mixed.tags, ["x", "white_check_mark"]);
        assert!(mixed.text.starts_with("Job failed on img: Job job-0 failed: no\n"), "{}", mixed.text);
        assert_eq!(mixed.id, combine(&[&notices[0], &done]).unwrap().id, "the same group has the same id");
        assert_ne!(mixed.id, combined.id);
    }
}
