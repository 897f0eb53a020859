//! API keys of model traffic, watched by every proxy, and what proxies have taken of their limits.

use crate::documents::Documents;
use crate::{Bus, BusError, streams};
use bytes::Bytes;
use domain::keys::{KeyRecord, KeySpending};
use std::collections::BTreeMap;
use std::time::Duration;

/// Pause before a watch that broke is begun anew.
const AGAIN: Duration = Duration::from_millis(200);
/// The document with what keys have used up; no key can have this name.
const SPENDING: &str = ".spending";

/// Every key, by its name. Cheap to clone.
#[derive(Clone)]
pub struct Keys {
    documents: Documents,
}

/// Small counters that proxies share: what each has taken of a key's limits. They live in the broker's memory and are
/// forgotten after ten minutes without a change. Cheap to clone.
#[derive(Clone)]
pub struct Leases {
    documents: Documents,
}

/// What a watch tells.
enum KeyUpdate {
    /// A key was made, changed or revoked.
    Changed(Box<KeyRecord>),
    /// All that was there when the watch began has been told.
    CaughtUp,
}

impl Bus {
    /// The keys.
    pub fn keys(&self) -> Keys {
        Keys { documents: Documents::new(&self.inner, streams::KEYS, "the API keys") }
    }

    /// The shared counters.
    pub fn leases(&self) -> Leases {
        Leases { documents: Documents::new(&self.inner, streams::LIMITS, "the limits of API keys") }
    }
}

impl Keys {
    /// The key of that name, and its revision.
    pub async fn read(&self, name: &str) -> Result<Option<(KeyRecord, u64)>, BusError> {
        self.documents.read(name).await?.map(|(value, revision)| Ok((parse(&value)?, revision))).transpose()
    }

    /// Writes a key if its last revision is that one (0: there is none); false when somebody was faster.
    pub async fn replace(&self, record: &KeyRecord, last: u64) -> Result<bool, BusError> {
        Ok(self.documents.replace(&record.name, write(record)?, last).await?.is_some())
    }

    /// Every key, revoked ones included, by name.
    pub async fn list(&self) -> Result<Vec<KeyRecord>, BusError> {
        let mut found = Vec::new();
        if !self.documents.is_empty().await? {
            let hear = |update| {
                match update {
                    KeyUpdate::Changed(record) => found.push(*record),
                    KeyUpdate::CaughtUp => return false,
                }
                true
            };
            self.follow(hear).await?;
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Tells all keys, revoked ones included, by name: once they are all known, and again at each change, for ever. While
    /// the broker is away nothing is told.
    pub async fn keep_watching(&self, mut hear: impl FnMut(&BTreeMap<String, KeyRecord>)) {
        loop {
            if let Err(error) = self.watch(&mut hear).await {
                tracing::debug!(%error, "the keys are watched anew");
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn watch(&self, hear: &mut impl FnMut(&BTreeMap<String, KeyRecord>)) -> Result<(), BusError> {
        let mut known = BTreeMap::new();
        let mut caught_up = self.documents.is_empty().await?;
        if caught_up {
            hear(&known);
        }
        self.follow(|update| {
            match update {
                KeyUpdate::Changed(record) => drop(known.insert(record.name.clone(), *record)),
                KeyUpdate::CaughtUp => caught_up = true,
            }
            if caught_up {
                hear(&known);
            }
            true
        })
        .await
    }

    async fn follow(&self, mut hear: impl FnMut(KeyUpdate) -> bool) -> Result<(), BusError> {
        let spending = Documents::token(SPENDING);
        self.documents
            .watch(|document| {
                let mut more = true;
                if document.token != spending && !document.value.is_empty() {
                    match parse(&document.value) {
                        Ok(record) => more = hear(KeyUpdate::Changed(Box::new(record))),
                        Err(error) => tracing::error!(%error, "an API key cannot be read and is left out"),
                    }
                }
                if document.last_of_history && more {
                    more = hear(KeyUpdate::CaughtUp);
                }
                more
            })
            .await
    }

    /// What keys have used up, and its revision; nothing before the first count.
    pub async fn spending(&self) -> Result<(KeySpending, u64), BusError> {
        match self.documents.read(SPENDING).await? {
            Some((value, revision)) => Ok((parse(&value)?, revision)),
            None => Ok((KeySpending::default(), 0)),
        }
    }

    /// Writes what keys have used up; false when somebody was faster.
    pub async fn count(&self, spending: &KeySpending, last: u64) -> Result<bool, BusError> {
        Ok(self.documents.replace(SPENDING, write(spending)?, last).await?.is_some())
    }
}

impl Leases {
    /// The counter of that name, and its revision.
    pub async fn read(&self, name: &str) -> Result<Option<(Bytes, u64)>, BusError> {
        self.documents.read(name).await
    }

    /// Writes it if its last revision is that one (0: there is none); the new revision, or none when somebody was
    /// faster.
    pub async fn replace(&self, name: &str, value: Bytes, last: u64) -> Result<Option<u64>, BusError> {
        self.documents.replace(name, value, last).await
    }
}

fn parse<T: serde::de::DeserializeOwned>(value: &[u8]) -> Result<T, BusError> {
    serde_json::from_slice(value).map_err(|error| BusError::corrupt("the API keys", error))
}

fn write<T: serde::Serialize>(value: &T) -> Result<Bytes, BusError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| BusError::corrupt("the API keys", error))
}
