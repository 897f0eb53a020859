//! Which channels are told of which notices.

use domain::notices::{Notice, NoticeKind, Priority};

/// Kinds that nobody is told of unless a rule says so: what went as it should, or was asked for by a person.
const QUIET: [NoticeKind; 4] =
    [NoticeKind::RunCompleted, NoticeKind::JobStarted, NoticeKind::JobCancelled, NoticeKind::NodeSeen];

/// The rules, in order; the first that fits decides. Without one that fits, all channels are told of all but quiet kinds.
///
/// A rule is written `KINDS[>=PRIORITY]:CHANNELS`: kinds joined by `|` (`job_*` is all that begin so, `*` all), a
/// priority from 1 to 5, channels joined by `+` (`webhook` is all webhooks, `all` everything, `none` nothing).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    kinds: Vec<NoticeKind>,
    at_least: u8,
    channels: Vec<String>,
}

/// A rule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rule '{rule}' cannot be read: {because}; write it as job_*>=4:ntfy+webhook or run_completed:none")]
pub struct RouteError {
    rule: String,
    because: String,
}

impl Routes {
    /// Reads rules.
    pub fn parse<'a>(rules: impl IntoIterator<Item = &'a str>) -> Result<Self, RouteError> {
        let parsed =
            rules.into_iter().map(|text| parse(text).map_err(|because| RouteError { rule: text.to_owned(), because }));
        Ok(Self { rules: parsed.collect::<Result<_, _>>()? })
    }

    /// The channels, of those there are, that are told.
    pub(crate) fn channels(&self, notice: &Notice, there: &[String]) -> Vec<String> {
        let fits = |rule: &&Rule| rule.kinds.contains(&notice.kind) && notice.priority.number() >= rule.at_least;
        match self.rules.iter().find(fits) {
            Some(rule) => {
                there.iter().filter(|name| rule.channels.iter().any(|c| is_meant(c, name))).cloned().collect()
            }
            None if QUIET.contains(&notice.kind) => Vec::new(),
            None => there.to_vec(),
        }
    }

    /// Whether any notice of a kind could be told to anybody.
    pub(crate) fn want(&self, kind: NoticeKind, there: &[String]) -> bool {
        let notice = |number| {
            let mut notice = Notice::new("", kind, domain::Time::from_micros(0), "");
            notice.priority = Priority::of_number(number).unwrap_or_default();
            notice
        };
        (1..=5).any(|number| !self.channels(&notice(number), there).is_empty())
    }
}

/// `webhook` means `webhook-1a2b3c4d` too.
fn is_meant(word: &str, channel: &str) -> bool {
    word == "all" || word == channel || channel.strip_prefix(word).is_some_and(|rest| rest.starts_with('-'))
}

fn parse(text: &str) -> Result<Rule, String> {
    let (left, channels) = text.split_once(':').ok_or("it has no colon")?;
    let (kinds, at_least) = match left.split_once(">=") {
        None => (left, 1),
        Some((kinds, number)) => {
            let number = number.trim().parse().ok().and_then(Priority::of_number);
            (kinds, number.ok_or("its priority is no number from 1 to 5")?.number())
        }
    };
    let mut chosen = Vec::new();
    for pattern in kinds.split('|').map(str::trim) {
        let matching = |kind: &NoticeKind| match pattern.strip_suffix('*') {
            Some(start) => kind.as_str().starts_with(start),
            None => kind.as_str() == pattern,
        };
        let found: Vec<NoticeKind> = NoticeKind::ALL.into_iter().filter(matching).collect();
        if found.is_empty() {
            let known: Vec<&str> = NoticeKind::ALL.iter().map(|kind| kind.as_str()).collect();
            return Err(format!("'{pattern}' is no kind (there are {})", known.join(", ")));
        }
        chosen.extend(found);
    }
    let channels: Vec<String> = channels.split('+').map(|name| name.trim().to_owned()).collect();
    let known = |name: &String| name == "all" || name == "none" || is_meant("ntfy", name) || is_meant("webhook", name);
    match channels.iter().find(|name| !known(name)) {
        Some(name) => Err(format!("'{name}' is no channel (there are ntfy, webhook, all and none)")),
        None => Ok(Rule { kinds: chosen, at_least, channels }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Time;

    fn told(rules: &[&str], notice: &Notice) -> String {
        let there = ["ntfy", "webhook-1", "webhook-2"].map(str::to_owned);
        Routes::parse(rules.iter().copied()).unwrap().channels(notice, &there).join(" ")
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let at = Time::from_micros(0);
        let (done, failed) = (Notice::job_completed("j", "i", at), Notice::job_failed("j", "i", "e", at));
        let completed = Notice::new("r", NoticeKind::RunCompleted, at, "t");
        let everything = "ntfy webhook-1 webhook-2";
        let rows: [(&[&str], &Notice, &str); 11] = [
            (&[], &done, everything),
            (&[], &completed, ""),
            (&["run_completed:ntfy"], &completed, "ntfy"),
            (&["job_*:ntfy"], &done, "ntfy"),
            (&["job_*:ntfy"], &completed, ""),
            (&["*>=4:all", "*:none"], &done, ""),
            (&["*>=4:all", "*:none"], &failed, everything),
            (&["job_failed|job_completed:webhook"], &failed, "webhook-1 webhook-2"),
            (&["job_failed:webhook-2+ntfy"], &failed, "ntfy webhook-2"),
            (&["job_failed:none", "*:all"], &failed, ""),
            (&["job_completed:none", "*:all"], &failed, everything),
        ];
        for (rules, notice, channels) in rows {
            assert_eq!(told(rules, notice), channels, "{rules:?} {:?}", notice.kind);
        }
    }

    #[test]
    fn a_kind_is_wanted_if_any_priority_of_it_is_told() {
        let there = ["ntfy".to_owned()];
        let routes = Routes::parse(["run_completed>=5:ntfy", "job_*:none"]).unwrap();
        assert!(routes.want(NoticeKind::RunCompleted, &there));
        assert!(!routes.want(NoticeKind::JobFailed, &there));
        assert!(!routes.want(NoticeKind::RunFailed, &[]));
        assert!(!Routes::default().want(NoticeKind::RunCompleted, &there));
    }

    #[test]
    fn a_rule_that_cannot_be_read_is_refused_with_the_reason() {
        for (rule, because) in [
            ("job_failed", "no colon"),
            ("job_exploded:ntfy", "'job_exploded' is no kind"),
            ("job_failed>=6:ntfy", "from 1 to 5"),
            ("job_failed:pager", "'pager' is no channel"),
        ] {
            let error = Routes::parse([rule]).unwrap_err().to_string();
            assert!(error.contains(because) && error.contains(rule), "{error}");
        }
    }
}
