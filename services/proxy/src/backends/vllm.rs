//! vLLM: request errors may arrive inside a stream that began with 200; error codes are integers.
//!
//! A closed connection ends its request, whether it is a stream or not (vllm-project/vllm#32442).

use super::{Capability, Health, Kind, OnDisconnect, Repair, Sleep, Tokenizer};

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
    sleep: Some(&Sleep {
        asked: "/is_sleeping",
        answer: "is_sleeping",
        // The first level keeps the weights in the machine's memory.
        sleep: "/sleep?level=1",
        wake: "/wake_up",
    }),
    usage_option: true,
    floats_only: false,
    repairs: &[Repair::ToolFinish],
    on_disconnect: OnDisconnect::Propagate,
    tokenizer: Tokenizer::Prompt("/tokenize"),
};
