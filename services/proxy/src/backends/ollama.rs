//! Ollama: no `/health`; the first call of a model loads it; tool calls once came without an index.
//!
//! A closed connection ends its request; what it reads of the prompt at that moment it reads to the end
//! (ollama/ollama#2876, #11889).

use super::{Capability, Health, Kind, OnDisconnect, Repair, Tokenizer};

pub(crate) static KIND: Kind = Kind {
    name: "ollama",
    title: "Ollama",
    health: Health::Path("/api/version"),
    can: &[Capability::Chat, Capability::Completions, Capability::Embeddings],
    keeps_connections: true,
    sleep: None,
    usage_option: true,
    floats_only: true,
    repairs: &[Repair::ToolIndex, Repair::ToolArguments, Repair::ToolFinish],
    on_disconnect: OnDisconnect::Propagate,
    tokenizer: Tokenizer::None,
};
