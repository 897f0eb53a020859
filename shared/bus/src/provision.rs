//! Makes the streams and buckets, and believes only what the server echoes back.

use crate::BusError;
use crate::streams::{self, Layout, SHARDS_KEY};
use async_nats::jetstream::{self, stream};

/// How many shards the broker has, or is to have. The number cannot change later: runs live where their id hashes to.
pub(crate) async fn shards(js: &jetstream::Context, wanted: Option<u16>, default: u16) -> Result<u16, BusError> {
    let existing = match js.get_stream(streams::ledger_name(0)).await {
        Ok(found) => found.cached_info().config.metadata.get(SHARDS_KEY).and_then(|text| text.parse::<u16>().ok()),
        Err(_) => None,
    };
    match (existing, wanted) {
        (Some(existing), Some(wanted)) if existing != wanted => Err(BusError::Misconfigured {
            stream: streams::ledger_name(0),
            field: "shards",
            actual: existing.to_string(),
            wanted: wanted.to_string(),
            hint: "the number of shards is fixed when a store is made: unset GANTRY_LEDGER_SHARDS or use a new store",
        }),
        (Some(existing), _) => Ok(existing),
        (None, wanted) => Ok(wanted.unwrap_or(default).clamp(1, 64)),
    }
}

/// Creates or updates everything of a layout.
pub(crate) async fn streams(js: &jetstream::Context, layout: Layout) -> Result<(), BusError> {
    for wanted in streams::all(layout) {
        stream(js, wanted).await?;
    }
    js.create_or_update_key_value(streams::catalog(layout))
        .await
        .map_err(|error| BusError::unavailable("making the catalogue bucket", error))?;
    if js.get_object_store(streams::BLOBS).await.is_err() {
        js.create_object_store(streams::blobs(layout))
            .await
            .map_err(|error| BusError::unavailable("making the blob store", error))?;
    }
    Ok(())
}

/// One stream. Also used when a data plane is made.
pub(crate) async fn stream(js: &jetstream::Context, wanted: stream::Config) -> Result<(), BusError> {
    let what = format!("making stream {}", wanted.name);
    let info =
        js.create_or_update_stream(wanted.clone()).await.map_err(|error| BusError::unavailable(&what, error))?;
    verify(&wanted, &info.config)
}

fn verify(wanted: &stream::Config, echoed: &stream::Config) -> Result<(), BusError> {
    let rows: [(&'static str, String, String); 9] = [
        ("retention", format!("{:?}", echoed.retention), format!("{:?}", wanted.retention)),
        ("discard", format!("{:?}", echoed.discard), format!("{:?}", wanted.discard)),
        ("storage", format!("{:?}", echoed.storage), format!("{:?}", wanted.storage)),
        ("num_replicas", echoed.num_replicas.to_string(), wanted.num_replicas.to_string()),
        ("subjects", format!("{:?}", echoed.subjects), format!("{:?}", wanted.subjects)),
        ("allow_direct", echoed.allow_direct.to_string(), wanted.allow_direct.to_string()),
        ("deny_delete", echoed.deny_delete.to_string(), wanted.deny_delete.to_string()),
        (
            "allow_message_schedules",
            echoed.allow_message_schedules.to_string(),
            wanted.allow_message_schedules.to_string(),
        ),
        ("allow_message_ttl", echoed.allow_message_ttl.to_string(), wanted.allow_message_ttl.to_string()),
    ];
    match rows.into_iter().find(|(_, actual, wanted)| actual != wanted) {
        None => Ok(()),
        Some((field, actual, wanted_value)) => Err(BusError::Misconfigured {
            stream: wanted.name.clone(),
            field,
            actual,
            wanted: wanted_value,
            hint: "another program may have made the stream, or the server is too old",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_drops_a_setting_is_refused_by_name() {
        let wanted = streams::inbox(0, Layout { shards: 1, replicas: 1 });
        let mut echoed = wanted.clone();
        assert_eq!(verify(&wanted, &echoed), Ok(()));
        echoed.allow_message_schedules = false;
        let error = verify(&wanted, &echoed).unwrap_err().to_string();
        assert!(error.contains("allow_message_schedules"), "{error}");
    }
}
