//! LM Studio: answers 200 on routes it does not know, and names tool calls with empty texts in later pieces.
//!
//! A closed connection ends its request, behind the prompt that it reads (lmstudio-ai/lmstudio-bug-tracker#1143).

use super::{Capability, Health, Kind, OnDisconnect, Repair, Tokenizer};

pub(crate) static KIND: Kind = Kind {
    name: "lmstudio",
    title: "LM Studio",
    health: Health::ModelList,
    can: &[
        Capability::Chat,
        Capability::Completions,
        Capability::Embeddings,
        Capability::Messages,
        Capability::Responses,
    ],
    keeps_connections: true,
    sleep: None,
    usage_option: true,
    floats_only: true,
    repairs: &[Repair::Role, Repair::ToolName, Repair::ToolIndex, Repair::ToolFinish],
    on_disconnect: OnDisconnect::Propagate,
    tokenizer: Tokenizer::None,
};
