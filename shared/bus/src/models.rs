//! Backends and models that were stored over the API, watched by every proxy; and what each proxy says of those in force.

use crate::batch::Query;
use crate::documents::Documents;
use crate::{Bus, BusError, Inner, streams, subjects};
use async_nats::HeaderMap;
use bytes::Bytes;
use domain::limits;
use domain::models::{ModelTable, ProxyReport};
use std::sync::Arc;
use std::time::Duration;

/// The one document.
const TABLE: &str = "table";
const WHAT: &str = "the backends and models";

/// The table of backends and models. Cheap to clone.
#[derive(Clone)]
pub struct Models {
    documents: Documents,
    inner: Arc<Inner>,
}

impl Bus {
    /// A proxy says what is in force there at least this often; what it said is forgotten after three times as long.
    pub const PROXY_REPORTS: Duration = Duration::from_secs(5);

    /// The table of backends and models.
    pub fn models(&self) -> Models {
        Models { documents: Documents::new(&self.inner, streams::MODELS, WHAT), inner: Arc::clone(&self.inner) }
    }
}

impl Models {
    /// The table and its revision in the bucket; an empty one at 0 before the first was stored.
    pub async fn read(&self) -> Result<(ModelTable, u64), BusError> {
        match self.documents.read(TABLE).await? {
            Some((value, revision)) => Ok((parse(&value)?, revision)),
            None => Ok((ModelTable::default(), 0)),
        }
    }

    /// Writes the table if its last revision in the bucket is that one; false when somebody was faster.
    pub async fn replace(&self, table: &ModelTable, last: u64) -> Result<bool, BusError> {
        let value = serde_json::to_vec(table).map(Bytes::from).map_err(|error| BusError::corrupt(WHAT, error))?;
        Ok(self.documents.replace(TABLE, value, last).await?.is_some())
    }

    /// Tells the table and then each change of it, until the watch breaks. The caller begins again then. Nothing is told
    /// of a table that cannot be read, so the last good one holds.
    pub async fn watch(&self, mut hear: impl FnMut(ModelTable)) -> Result<(), BusError> {
        self.documents
            .watch(|document| {
                match parse(&document.value) {
                    _ if document.value.is_empty() => hear(ModelTable::default()),
                    Ok(table) => hear(table),
                    Err(error) => tracing::error!(%error, "the last good backends and models stay in force"),
                }
                true
            })
            .await
    }

    /// Replaces what a proxy says. Not tried again: it is said again soon.
    pub async fn report(&self, report: &ProxyReport) -> Result<(), BusError> {
        let what = "a proxy's report";
        let body = serde_json::to_vec(report).map(Bytes::from).map_err(|error| BusError::corrupt(what, error))?;
        let subject = subjects::proxy_report(&report.proxy);
        self.inner.publish(what, subject, HeaderMap::new(), body).await.map(|_| ())
    }

    /// What every proxy that lives has last said, by its name. One that cannot be read is left out.
    pub async fn reports(&self) -> Result<Vec<ProxyReport>, BusError> {
        let (mut reports, mut next) = (Vec::<ProxyReport>::new(), 1);
        let filter = subjects::PROXY_REPORTS;
        loop {
            let query = Query { seq: next, next_by_subj: filter, batch: 256, max_bytes: 2 * limits::MESSAGE_BYTES };
            let (found, more) = self.inner.read(streams::PROXIES, &query).await?;
            next = found.last().map_or(next, |last| last.sequence + 1);
            let any = !found.is_empty();
            reports.extend(found.iter().filter_map(|stored| serde_json::from_slice(&stored.payload).ok()));
            if !(more && any) {
                break;
            }
        }
        reports.sort_by(|a, b| a.proxy.cmp(&b.proxy));
        Ok(reports)
    }
}

fn parse(value: &[u8]) -> Result<ModelTable, BusError> {
    serde_json::from_slice(value).map_err(|error| BusError::corrupt(WHAT, error))
}
