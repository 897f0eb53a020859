//! Text Generation Inference: no embeddings; errors are a bare text beside `error_type`, also inside streams.
//!
//! A closed connection takes its request out of the batch (huggingface/text-generation-inference#495).

use super::{Capability, Health, Kind, OnDisconnect, Repair, Tokenizer};

pub(crate) static KIND: Kind = Kind {
    name: "tgi",
    title: "Text Generation Inference",
    health: Health::Path("/health"),
    can: &[Capability::Chat, Capability::Completions],
    // Versions of 2024 refuse the option.
    keeps_connections: true,
    sleep: None,
    usage_option: false,
    floats_only: true,
    repairs: &[Repair::Envelope, Repair::ToolIndex, Repair::ToolArguments, Repair::ToolFinish],
    on_disconnect: OnDisconnect::Propagate,
    tokenizer: Tokenizer::None,
};
