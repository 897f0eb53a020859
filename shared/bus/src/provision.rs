//! Makes the streams and buckets, and believes only what the server echoes back.

use crate::BusError;
use crate::streams::{self, Layout, SHARDS_KEY};
use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::{self, ErrorCode, stream};
use futures::future::join_all;

/// How many shards the broker has, or is to have. The number cannot change later: runs live where their id hashes to.
pub(crate) async fn shards(js: &jetstream::Context, wanted: Option<u16>, default: u16) -> Result<u16, BusError> {
    let existing = match js.get_stream(streams::ledger_name(0)).await {
        Ok(found) => found.cached_info().config.metadata.get(SHARDS_KEY).and_then(|text| text.parse::<u16>().ok()),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(answer) if answer.error_code() == ErrorCode::STREAM_NOT_FOUND => None,
            // A store that does not answer is not an empty one: a wrong number would look for runs where they are not.
            GetStreamErrorKind::JetStream(_)
            | GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::Request
            | GetStreamErrorKind::InvalidStreamName => {
                return Err(BusError::unavailable("reading the number of shards", error));
            }
        },
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
    // At once, and each to its end: in a cluster a single answer may get lost, and then only that one is waited for.
    let made = join_all(streams::all(layout).into_iter().map(|wanted| stream(js, wanted))).await;
    made.into_iter().collect::<Result<(), BusError>>()?;
    let buckets =
        [streams::catalog(layout), streams::keys(layout), streams::models::table(layout), streams::limits(layout)];
    for made in join_all(buckets.map(|bucket| js.create_or_update_key_value(bucket))).await {
        made.map_err(|error| BusError::unavailable("making the buckets of documents", error))?;
    }
    if js.get_object_store(streams::BLOBS).await.is_err() {
        js.create_object_store(streams::blobs(layout))
            .await
            .map_err(|error| BusError::unavailable("making the blob store", error))?;
    }
    read_blobs_at_leader(js).await
}

/// Creates what lies in the broker's memory alone, where it is not there any more.
pub(crate) async fn memory(js: &jetstream::Context, layout: Layout) -> Result<(), BusError> {
    let lies = streams::all(layout).into_iter().filter(|wanted| wanted.storage == stream::StorageType::Memory);
    let made = join_all(lies.map(|wanted| stream(js, wanted))).await;
    made.into_iter().collect::<Result<(), BusError>>()?;
    let limits = js.create_or_update_key_value(streams::limits(layout)).await;
    limits.map(|_| ()).map_err(|error| BusError::unavailable("making the bucket of limits", error))
}

/// What a ledger message or the catalogue names must be found by whoever reads that, so names of blobs are asked of the
/// leader. The client decides by the stream's configuration and offers no setting for it.
async fn read_blobs_at_leader(js: &jetstream::Context) -> Result<(), BusError> {
    let unavailable = |error: &dyn ToString| BusError::unavailable("making the blob store", error.to_string());
    let found = js.get_stream(format!("OBJ_{}", streams::BLOBS)).await.map_err(|error| unavailable(&error))?;
    let mut config = found.cached_info().config.clone();
    if !std::mem::take(&mut config.allow_direct) {
        return Ok(());
    }
    js.update_stream(config).await.map(|_| ()).map_err(|error| unavailable(&error))
}

/// One stream. Also used when a data plane is made.
pub(crate) async fn stream(js: &jetstream::Context, wanted: stream::Config) -> Result<(), BusError> {
    let what = format!("making stream {}", wanted.name);
    let info = js.create_or_update_stream(wanted.clone()).await.map_err(|error| refusal(what, &error))?;
    verify(&wanted, &info.config)
}

/// A cluster without a leader or with a member missing may answer otherwise in a moment; anything else stays refused.
fn refusal(what: String, error: &CreateStreamError) -> BusError {
    let passing = [ErrorCode::CLUSTER_NOT_AVAILABLE, ErrorCode::CLUSTER_NO_PEERS, ErrorCode::CLUSTER_NOT_LEADER];
    if let CreateStreamErrorKind::JetStream(answer) = error.kind()
        && !passing.contains(&answer.error_code())
    {
        let (code, description) = (answer.error_code().0, answer.to_string());
        return BusError::Refused { what, code, description };
    }
    BusError::unavailable(&what, error)
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
