//! llama.cpp's server: `/health` says 503 while the model loads; old ones send `error:` lines in streams.
//!
//! Its `/v1/messages` begins without a `message_start` when its first piece carries text.
//!
//! A closed connection ends its request; before September 2024 one without a stream was worked at to the end
//! (ggml-org/llama.cpp#9273). The tests see it with a real one.

use super::{Capability, Health, Kind, OnDisconnect, Repair, Tokenizer};

pub(crate) static KIND: Kind = Kind {
    name: "llamacpp",
    title: "llama.cpp",
    health: Health::Path("/health"),
    can: &[
        Capability::Chat,
        Capability::Completions,
        Capability::Embeddings,
        Capability::Messages,
        Capability::Responses,
        Capability::Rerank,
    ],
    // It has a handful of threads, and a connection holds one for seconds after its answer.
    keeps_connections: false,
    sleep: None,
    usage_option: true,
    floats_only: false,
    repairs: &[Repair::Role, Repair::ToolFinish, Repair::MessageStart],
    on_disconnect: OnDisconnect::Propagate,
    tokenizer: Tokenizer::Content("/tokenize"),
};
