//! Orders for one container wait for each other; orders for different containers do not.

use domain::nodes::ContainerName;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// Who is last in each container's line.
#[derive(Default)]
pub(crate) struct Turns {
    last: Mutex<BTreeMap<ContainerName, watch::Receiver<()>>>,
}

/// A place in a line. Its end lets the next one begin.
pub(crate) struct Turn {
    before: Option<watch::Receiver<()>>,
    _done: watch::Sender<()>,
}

impl Turns {
    /// The next place in a container's line. Taken in the order of calls, not of waiting.
    pub(crate) fn take(&self, container: &ContainerName) -> Turn {
        let (done, next) = watch::channel(());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.retain(|_, waiting| waiting.has_changed().is_ok());
        let before = last.insert(container.clone(), next);
        Turn { before, _done: done }
    }
}

impl Turn {
    /// Waits until everybody before has ended.
    pub(crate) async fn come(&mut self) {
        if let Some(before) = &mut self.before {
            // Nothing is ever sent: an error means that the one before is gone.
            while before.changed().await.is_ok() {}
        }
        self.before = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn orders_for_one_container_go_one_by_one_and_for_another_at_once() {
        let (turns, web, other) =
            (Turns::default(), ContainerName::new("web").unwrap(), ContainerName::new("other").unwrap());
        let (mut first, mut second, mut third) = (turns.take(&web), turns.take(&web), turns.take(&web));
        let mut elsewhere = turns.take(&other);
        assert!(first.come().now_or_never().is_some() && elsewhere.come().now_or_never().is_some());
        assert!(second.come().now_or_never().is_none() && third.come().now_or_never().is_none());
        drop(first);
        second.come().await;
        assert!(third.come().now_or_never().is_none());
        drop(second);
        third.come().await;
    }
}
