//! Every limit that a user can meet, in one file.

/// Values of a record larger than this many bytes go to the blob store and travel as references.
pub const INLINE_BYTES: usize = 262_144;
/// Largest message that the broker accepts, in bytes.
pub const MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// A run's state up to this many bytes lies in its ledger message; a larger one goes to the blob store.
pub const INLINE_STATE_BYTES: usize = 192 * 1024;
/// Nodes that one step executes before it commits and goes on in the next.
pub const NODES_PER_STEP: usize = 10_000;
/// Passes of one `for` or `while` loop.
pub const LOOP_PASSES: u64 = 10_000;
/// Inbox messages that one step takes in.
pub const MESSAGES_PER_STEP: usize = 256;
/// Runs below one another.
pub const RUN_DEPTH: u32 = 64;
/// How often a step may crash its runner before the run is ended as failed.
pub const CRASHES_PER_STEP: i64 = 5;
/// Bytes of a bundle file.
pub const BUNDLE_BYTES: usize = 78_643_200;
/// Bytes of a bundle after unpacking.
pub const BUNDLE_UNPACKED_BYTES: u64 = 256 * 1024 * 1024;
/// Files of a bundle.
pub const BUNDLE_FILES: usize = 4_096;
/// Nesting of a JSON document.
pub const JSON_DEPTH: usize = 100;
/// Backends that may be stored.
pub const BACKENDS: usize = 256;
/// Models that may be stored.
pub const MODELS: usize = 1_024;
/// Bytes of all stored backends and models together: they travel as one message.
pub const MODEL_TABLE_BYTES: usize = 1024 * 1024;
/// Other names of one model.
pub const ALIASES_PER_MODEL: usize = 32;
/// Places where one model runs.
pub const REPLICAS_PER_MODEL: usize = 64;
/// Models that are asked in another's place.
pub const FALLBACKS_PER_MODEL: usize = 3;
/// Bytes of a model's name.
pub const MODEL_NAME_BYTES: usize = 256;
/// Bytes of a backend's URL.
pub const URL_BYTES: usize = 2_048;
/// Bytes of a backend's key.
pub const UPSTREAM_KEY_BYTES: usize = 4_096;
/// Requests at once, or in a queue.
pub const COUNT: std::ops::RangeInclusive<u32> = 1..=1_000_000;
/// A replica's share beside the others'.
pub const WEIGHT: std::ops::RangeInclusive<u32> = 1..=1_000;
