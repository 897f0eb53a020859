//! How many files a process may have open: each connection is one, and a relayed stream has two.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Below this, a gateway in use soon meets its limit.
const FEW: u64 = 4_096;

/// Goes up to what the system allows at most; the usual limit is made for programs that wait on descriptors one by one.
pub(super) fn open_many() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    if let Some(most) = limit.maximum.filter(|most| *most < FEW) {
        tracing::warn!(
            most,
            "few files may be open, so few connections; raise the hard limit (ulimit -Hn, LimitNOFILE)"
        );
    }
}
