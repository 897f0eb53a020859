//! Where backends and models lie, and what proxies say of them.

use super::{Layout, MODELS, PROXIES, base};
use async_nats::jetstream::{kv, stream};

/// All backends and models in one document, replaced under the revision that was read: one write sees the whole, so no
/// two writers can take one name or leave a model without its backend.
pub(crate) fn table(layout: Layout) -> kv::Config {
    kv::Config {
        bucket: MODELS.to_owned(),
        description: "backends, with their keys, and models, for proxies".to_owned(),
        history: 1,
        num_replicas: layout.replicas,
        storage: stream::StorageType::File,
        ..Default::default()
    }
}

/// What is in force at each proxy. In memory: it is said again and again.
pub(crate) fn proxies(layout: Layout) -> stream::Config {
    stream::Config {
        max_messages_per_subject: 1,
        storage: stream::StorageType::Memory,
        max_age: crate::Bus::PROXY_REPORTS * 3,
        ..base(PROXIES.to_owned(), vec!["gantry.proxy.*".to_owned()], layout, "backends in force, by proxy")
    }
}
