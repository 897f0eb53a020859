//! Who leads: one message that its writer must renew, and that the broker forgets when it is not.
//!
//! The lease decides who works; what is correct hangs on the log's fence alone.

use crate::publish::{EXPECTED_LAST, Published};
use crate::{Bus, BusError, Inner, streams, subjects};
use async_nats::HeaderMap;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// The lease of the scheduler, held while it is renewed.
pub struct Lease {
    inner: Arc<Inner>,
    holder: String,
    last: u64,
}

impl Bus {
    /// A lease that is not renewed for this long is free.
    pub const LEASE_TTL: Duration = Duration::from_secs(3);
    /// How often a lease is renewed, and asked for.
    pub const LEASE_RENEWAL: Duration = Duration::from_millis(750);

    /// Takes the scheduler's lease, if it is free.
    pub async fn take_lease(&self, holder: &str) -> Result<Option<Lease>, BusError> {
        let mut lease = Lease { inner: self.inner.clone(), holder: holder.to_owned(), last: 0 };
        Ok(lease.renew().await?.then_some(lease))
    }
}

impl Lease {
    /// Holds it for another [`Bus::LEASE_TTL`]; says whether it is still ours.
    pub async fn renew(&mut self) -> Result<bool, BusError> {
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED_LAST, self.last.to_string());
        let body = Bytes::from(self.holder.clone());
        match self.inner.publish("a lease", subjects::LEASE.to_owned(), headers, body).await? {
            Published::Stored { sequence, .. } => {
                self.last = sequence;
                Ok(true)
            }
            Published::Fenced { .. } => self.is_ours().await,
            Published::Busy => Ok(self.last > 0),
        }
    }

    /// A renewal whose answer was lost looks like somebody else's lease.
    async fn is_ours(&mut self) -> Result<bool, BusError> {
        match self.inner.last_at_leader(streams::LEASES, subjects::LEASE).await? {
            Some(stored) if stored.payload == self.holder.as_bytes() => {
                self.last = stored.sequence;
                Ok(true)
            }
            Some(_) => Ok(false),
            None => {
                // It ran out, or the broker forgot it in a restart: it may be taken anew at the next renewal.
                let held = self.last > 0;
                self.last = 0;
                Ok(held)
            }
        }
    }

    /// Gives it up, so that another may lead at once.
    pub async fn release(self) {
        if let Err(error) = self.inner.purge(streams::LEASES, subjects::LEASE, None).await {
            tracing::debug!(%error, "the lease runs out by itself");
        }
    }
}
