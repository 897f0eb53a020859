//! Who reports, and who has fallen silent.

use super::follow::Tail;
use crate::{Bus, Inner, streams};
use domain::nodes::{NodeId, NodeReport};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

impl Bus {
    /// A node reports at least this often, also when nothing changes.
    pub const NODE_HEARTBEAT: Duration = Duration::from_secs(2);
    /// A node that has not reported for this long is silent.
    pub const NODE_PATIENCE: Duration = Duration::from_secs(6);
}

/// What is heard of nodes.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeUpdate {
    /// A node reported.
    Report(Box<NodeReport>),
    /// A node has not reported for [`Bus::NODE_PATIENCE`]. Said once; its next report ends it.
    Silent {
        /// Which.
        node: NodeId,
    },
}

/// Follows the reports of all nodes.
pub struct NodeWatch {
    tail: Tail<NodeReport>,
    heard: Heard,
    connects: watch::Receiver<u64>,
    inner: Arc<Inner>,
}

impl NodeWatch {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self {
            tail: Tail::new(inner.clone(), streams::NODE_REPORTS, 1, true),
            heard: Heard::default(),
            connects: inner.connects.clone(),
            inner,
        }
    }

    /// The next thing heard, or not heard. First comes what each node last said; a node that is already silent by then
    /// is given the whole patience, because clocks of hosts are not compared. While this process has no connection it
    /// calls nobody silent.
    pub async fn next(&mut self) -> NodeUpdate {
        loop {
            let due = self.heard.next_due();
            tokio::select! {
                changed = self.connects.changed() => {
                    if changed.is_err() {
                        std::future::pending::<()>().await;
                    }
                    self.heard.forgive(Instant::now());
                }
                (_, report) = self.tail.next() => {
                    if self.heard.hear(&report, Instant::now()) {
                        return NodeUpdate::Report(Box::new(report));
                    }
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if self.inner.client.connection_state() != async_nats::connection::State::Connected {
                        self.heard.forgive(Instant::now());
                    } else if let Some(node) = self.heard.take_silent(Instant::now()) {
                        return NodeUpdate::Silent { node };
                    }
                }
            }
        }
    }
}

/// When each node was last heard.
#[derive(Default)]
struct Heard(BTreeMap<NodeId, Last>);

struct Last {
    instance: String,
    number: u64,
    at: Instant,
    silent: bool,
}

impl Heard {
    /// Whether a report is news: a reader that is made anew tells the last ones again.
    fn hear(&mut self, report: &NodeReport, now: Instant) -> bool {
        if let Some(last) = self.0.get(&report.node)
            && last.instance == report.instance
            && last.number >= report.number
        {
            return false;
        }
        let last = Last { instance: report.instance.clone(), number: report.number, at: now, silent: false };
        self.0.insert(report.node.clone(), last);
        true
    }

    fn forgive(&mut self, now: Instant) {
        self.0.values_mut().for_each(|last| last.at = now);
    }

    fn next_due(&self) -> Option<Instant> {
        self.0.values().filter(|last| !last.silent).map(|last| last.at + Bus::NODE_PATIENCE).min()
    }

    fn take_silent(&mut self, now: Instant) -> Option<NodeId> {
        let (node, last) = self.0.iter_mut().find(|(_, last)| !last.silent && last.at + Bus::NODE_PATIENCE <= now)?;
        last.silent = true;
        Some(node.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Time;
    use domain::nodes::{Devices, EngineReport, Reading};

    fn report(instance: &str, number: u64) -> NodeReport {
        NodeReport {
            node: NodeId::new("n1").unwrap(),
            instance: instance.to_owned(),
            number,
            at: Time::from_micros(0),
            version: String::new(),
            devices: Devices::Absent { because: String::new() },
            engine: EngineReport::Down { because: String::new() },
            system_total_mb: Reading::unavailable(""),
            system_available_mb: Reading::unavailable(""),
        }
    }

    #[test]
    fn a_silent_node_is_named_once_and_an_old_report_does_not_revive_it() {
        let (mut heard, start) = (Heard::default(), Instant::now());
        let late = start + Bus::NODE_PATIENCE;
        assert!(heard.hear(&report("a", 3), start));
        assert_eq!(heard.take_silent(start), None);
        assert_eq!(heard.take_silent(late).map(|node| node.to_string()), Some("n1".to_owned()));
        assert_eq!((heard.take_silent(late), heard.next_due()), (None, None));
        assert!(!heard.hear(&report("a", 3), late), "told again by a new reader");
        assert_eq!(heard.next_due(), None);
        assert!(heard.hear(&report("a", 4), late) && heard.hear(&report("b", 1), late));
        assert_eq!(heard.next_due(), Some(late + Bus::NODE_PATIENCE));
    }

    #[test]
    fn time_without_a_connection_is_not_held_against_a_node() {
        let (mut heard, start) = (Heard::default(), Instant::now());
        heard.hear(&report("a", 1), start);
        heard.forgive(start + Bus::NODE_PATIENCE);
        assert_eq!(heard.take_silent(start + Bus::NODE_PATIENCE), None);
    }
}
