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
        // The second time is for a lease that ran out, or that a broker which restarted has forgotten: who held it may
        // take it anew, unless another was faster.
        for _ in 0..2 {
            let mut headers = HeaderMap::new();
            headers.insert(EXPECTED_LAST, self.last.to_string());
            let body = Bytes::from(self.holder.clone());
            match self.inner.publish("a lease", subjects::LEASE.to_owned(), headers, body).await? {
                Published::Stored { sequence, .. } => {
                    self.last = sequence;
                    return Ok(true);
                }
                Published::Busy => return Ok(self.last > 0),
                Published::Fenced { .. } => match self.stored().await? {
                    // A renewal whose answer was lost looks like somebody else's lease.
                    Some(sequence) if sequence > 0 => {
                        self.last = sequence;
                        return Ok(true);
                    }
                    Some(_) => return Ok(false),
                    None => self.last = 0,
                },
            }
        }
        Ok(false)
    }

    /// Where the lease lies, if it is ours; zero if it is another's, none if nobody has it.
    async fn stored(&self) -> Result<Option<u64>, BusError> {
        let stored = self.inner.last_at_leader(streams::LEASES, subjects::LEASE).await?;
        Ok(stored.map(|stored| if stored.payload == self.holder.as_bytes() { stored.sequence } else { 0 }))
    }

    /// Gives it up, so that another may lead at once. A lease that is another's by now stays.
    pub async fn release(self) {
        let released = match self.stored().await {
            Ok(Some(sequence)) if sequence > 0 => {
                self.inner.purge(streams::LEASES, subjects::LEASE, Some(sequence + 1)).await
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = released {
            tracing::debug!(%error, "the lease runs out by itself");
        }
    }
}
