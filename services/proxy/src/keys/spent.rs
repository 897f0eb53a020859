//! How many tokens each key has used up in all, whichever proxy served them.
//!
//! The truth is the stream of accounts. Each proxy adds it up, and beside it knows what it has charged itself and has
//! not seen there yet.

use domain::keys::{KeySpending, MOST_KEYS};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What one key has used up.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    /// In accounts that were seen.
    counted: AtomicU64,
    /// Charged here.
    charged: AtomicU64,
    /// Of what was charged here, seen as accounts.
    returned: AtomicU64,
}

impl Spent {
    /// Charges what a request used.
    pub(super) fn charge(&self, tokens: u64) {
        self.charged.fetch_add(tokens, Ordering::Relaxed);
    }

    /// In all.
    pub(super) fn total(&self) -> u64 {
        let outstanding = self.charged.load(Ordering::Relaxed).saturating_sub(self.returned.load(Ordering::Relaxed));
        self.counted.load(Ordering::Relaxed).saturating_add(outstanding)
    }
}

/// What all keys have used up. Shared by every setup of a proxy.
#[derive(Debug, Default)]
pub(crate) struct Spending {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_id: HashMap<String, Arc<Spent>>,
    sequence: u64,
}

/// The members of an account that count here.
#[derive(Deserialize)]
struct Counted {
    #[serde(default)]
    key_id: Option<String>,
    #[serde(default)]
    proxy: Option<String>,
    #[serde(default)]
    tokens_in: u64,
    #[serde(default)]
    tokens_out: u64,
}

impl Spending {
    /// What the key of that id has used up.
    pub(super) fn of(&self, id: &str) -> Arc<Spent> {
        let mut state = self.lock();
        // Ids that nobody holds any more and that have used nothing are the first to go.
        if state.by_id.len() >= 4 * MOST_KEYS {
            state.by_id.retain(|_, spent| Arc::strong_count(spent) > 1);
        }
        Arc::clone(state.by_id.entry(id.to_owned()).or_default())
    }

    /// Begins with what others have added up.
    pub(crate) fn begin(&self, from: &KeySpending) {
        for (id, tokens) in &from.tokens {
            self.of(id).counted.store(*tokens, Ordering::Relaxed);
        }
        self.lock().sequence = from.sequence;
    }

    /// Up to which account it is added up.
    pub(crate) fn sequence(&self) -> u64 {
        self.lock().sequence
    }

    /// Adds an account; those must come in order. One of this proxy's own is no longer outstanding.
    pub(crate) fn add(&self, sequence: u64, account: &[u8], own: &str) {
        if sequence <= self.sequence() {
            return;
        }
        if let Ok(Counted { key_id: Some(id), proxy, tokens_in, tokens_out }) = serde_json::from_slice(account) {
            let (spent, tokens) = (self.of(&id), tokens_in.saturating_add(tokens_out));
            spent.counted.fetch_add(tokens, Ordering::Relaxed);
            if proxy.as_deref() == Some(own) {
                spent.returned.fetch_add(tokens, Ordering::Relaxed);
            }
        }
        self.lock().sequence = sequence;
    }

    /// The sums, for those who begin later.
    pub(crate) fn sums(&self) -> KeySpending {
        let state = self.lock();
        let tokens = state.by_id.iter().map(|(id, spent)| (id.clone(), spent.counted.load(Ordering::Relaxed)));
        KeySpending { sequence: state.sequence, tokens: tokens.filter(|(_, tokens)| *tokens > 0).collect() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_counts_once_whether_it_was_charged_here_or_elsewhere() {
        let spending = Spending::default();
        spending.begin(&KeySpending { sequence: 4, tokens: [("k".to_owned(), 100)].into() });
        let spent = spending.of("k");
        spent.charge(7);
        assert_eq!(spent.total(), 107);
        let account = |proxy: &str| format!(r#"{{"key_id":"k","proxy":"{proxy}","tokens_in":3,"tokens_out":4}}"#);
        spending.add(5, account("me").as_bytes(), "me");
        assert_eq!(spent.total(), 107);
        spending.add(6, account("other").as_bytes(), "me");
        spending.add(6, account("other").as_bytes(), "me");
        spending.add(7, b"no account", "me");
        assert_eq!(spent.total(), 114);
        assert_eq!(spending.sums(), KeySpending { sequence: 7, tokens: [("k".to_owned(), 114)].into() });
    }
}
