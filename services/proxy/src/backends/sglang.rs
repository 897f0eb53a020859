//! SGLang: old versions send `finish_reason: ""`, `role: null` on every chunk and two finish chunks.

use super::{Capability, Health, Kind, OnDisconnect, Repair, Tokenizer};

pub(crate) static KIND: Kind = Kind {
    name: "sglang",
    title: "SGLang",
    health: Health::Path("/health"),
    can: &[
        Capability::Chat,
        Capability::Completions,
        Capability::Embeddings,
        Capability::Responses,
        Capability::Rerank,
    ],
    keeps_connections: true,
    sleep: None,
    usage_option: true,
    floats_only: false,
    repairs: &[Repair::Role, Repair::EmptyFinish, Repair::SecondFinish, Repair::ToolFinish],
    on_disconnect: OnDisconnect::Propagate,
    tokenizer: Tokenizer::Prompt("/tokenize"),
};
