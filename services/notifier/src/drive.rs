//! The router. Its order is the argument: a notice is judged, waits with its group, becomes one stored outgoing message
//! per channel, and only then is acknowledged. A router that dies leaves its groups to whoever is given their notices.

use crate::NotifierError;
use crate::clock::now;
use crate::deliver::ack_all;
use crate::hold::{beat, sign};
use crate::rules::combine::combine;
use crate::rules::groups::Groups;
use crate::rules::routes::Routes;
use crate::rules::{can_be_silenced, is_silenced, is_stale};
use crate::{Config, metrics};
use bus::{BusError, Held, Notices};
use domain::Time;
use domain::notices::{Notice, NoticeKind, Outgoing, Priority};
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Notices that wait in groups at once; the rest waits in the stream.
const WAITING: usize = 512;
/// Notices asked for at once.
const AT_ONCE: usize = 16;
/// Longest look away from the groups.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// What goes together: the same kind for the same channels.
type Key = (NoticeKind, Vec<String>);

pub(crate) struct Router {
    notices: Notices,
    routes: Routes,
    channels: Vec<String>,
    window: Duration,
    most_age: Duration,
}

impl Router {
    pub(crate) fn new(notices: Notices, config: &Config, channels: Vec<String>) -> Self {
        Self {
            notices,
            routes: config.routes.clone(),
            channels,
            window: config.group_window,
            most_age: config.most_age,
        }
    }

    /// Routes until the service stops.
    pub(crate) async fn route(&self, stop: CancellationToken) -> Result<(), NotifierError> {
        let mut queue = self.notices.queue().at_once(AT_ONCE);
        let mut groups: Groups<Key, Held<Notice>> = Groups::new(self.window);
        let mut beat = beat();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    for held in groups.members() {
                        held.again_in(Duration::ZERO).await;
                    }
                    return Ok(());
                }
                _ = beat.tick() => sign(groups.members()).await,
                () = sleep(until(groups.next_due())) => {
                    for ((_, channels), members) in groups.take_due(now()) {
                        self.dispatch(&channels, members).await?;
                    }
                }
                held = queue.next(), if groups.members().count() < WAITING => self.take(&mut groups, held).await?,
            }
        }
    }

    async fn take(&self, groups: &mut Groups<Key, Held<Notice>>, held: Held<Notice>) -> Result<(), BusError> {
        let channels = match self.judge(&held.value).await? {
            Ok(channels) => channels,
            Err(outcome) => {
                count(outcome);
                held.ack().await;
                return Ok(());
            }
        };
        count("routed");
        if self.window.is_zero() || held.value.priority == Priority::Max {
            return self.dispatch(&channels, vec![held]).await;
        }
        groups.add((held.value.kind, channels), now(), held);
        Ok(())
    }

    /// The channels that are told, or the word for why none is.
    async fn judge(&self, notice: &Notice) -> Result<Result<Vec<String>, &'static str>, BusError> {
        let channels = self.routes.channels(notice, &self.channels);
        if channels.is_empty() {
            return Ok(Err("unwanted"));
        }
        if is_stale(notice, now(), self.most_age) {
            return Ok(Err("stale"));
        }
        if let Some(node) = notice.node.as_deref().filter(|_| can_be_silenced(notice.kind)) {
            let last = self.notices.last_of_node(node).await?;
            if is_silenced(notice, last.as_ref()) {
                tracing::info!(node, title = notice.title, "a notice is silenced: its node is down");
                return Ok(Err("silenced"));
            }
        }
        Ok(Ok(channels))
    }

    async fn dispatch(&self, channels: &[String], members: Vec<Held<Notice>>) -> Result<(), BusError> {
        let notices: Vec<&Notice> = members.iter().map(|held| &held.value).collect();
        if let Some(notice) = combine(&notices) {
            for channel in channels {
                self.notices.send(&Outgoing::notice(channel, notice.clone())).await?;
            }
        }
        if members.len() > 1 {
            ::metrics::counter!(metrics::GROUPED).increment(members.len() as u64);
        }
        ack_all(&members).await;
        Ok(())
    }
}

fn count(outcome: &'static str) {
    ::metrics::counter!(metrics::NOTICES, "outcome" => outcome).increment(1);
}

fn until(due: Option<Time>) -> Duration {
    let Some(due) = due else { return LONGEST_SLEEP };
    let micros = due.as_micros().saturating_sub(now().as_micros());
    Duration::from_micros(u64::try_from(micros).unwrap_or(0)).min(LONGEST_SLEEP)
}
