//! LocalAI: a usage of zeros on every chunk, finish reasons only on the last one, sometimes no end mark.
//!
//! A closed connection ends its request since its server is built on Echo (`core/http/middleware/request.go`). Before, only a
//! stream ended: such a server needs `on_disconnect = "drain"`.

use super::{Capability, Health, Kind, OnDisconnect, Repair, Tokenizer};

pub(crate) static KIND: Kind = Kind {
    name: "localai",
    title: "LocalAI",
    health: Health::Path("/readyz"),
    can: &[
        Capability::Chat,
        Capability::Completions,
        Capability::Embeddings,
        Capability::Messages,
        Capability::Rerank,
        Capability::Speech,
        Capability::Transcriptions,
        Capability::Images,
    ],
    keeps_connections: true,
    sleep: None,
    usage_option: true,
    floats_only: true,
    repairs: &[
        Repair::Envelope,
        Repair::Role,
        Repair::EmptyFinish,
        Repair::ToolIndex,
        Repair::ToolFinish,
        Repair::ZeroUsage,
    ],
    on_disconnect: OnDisconnect::Propagate,
    tokenizer: Tokenizer::None,
};
