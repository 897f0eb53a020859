//! vLLM: request errors may arrive inside a stream that began with 200; error codes are integers.

use super::{Capability, Health, Kind, OnDisconnect, Repair, Tokenizer};

pub(crate) static KIND: Kind = Kind {
    name: "vllm",
    title: "vLLM",
    health: Health::Path("/health"),
    can: &[
        Capability::Chat,
        Capability::Completions,
        Capability::Embeddings,
        Capability::Messages,
        Capability::Responses,
        Capability::Rerank,
        Capability::Transcriptions,
    ],
    keeps_connections: true,
    usage_option: true,
    floats_only: false,
    repairs: &[Repair::ToolFinish],
    on_disconnect: OnDisconnect::Propagate,
    tokenizer: Tokenizer::Prompt("/tokenize"),
};
