//! SGLang: old versions send `finish_reason: ""`, `role: null` on every chunk and two finish chunks.
//!
//! A closed connection is not enough: a stream goes on for two seconds or, in some versions, to its end, and a request
//! without a stream is looked at every few seconds (sgl-project/sglang#37833, #34894). So the request gets an id of ours and
//! is aborted by it while its connection stands: once that is closed, some versions know no such request any more. A server
//! with a key of its own for administration refuses that.
//!
//! It can release its GPU memory, but does not tell whether it has. Told to resume when it had not released, or to release
//! while a request runs, its scheduler dies (sgl-project/sglang#24123, not merged); and weights come back as garbage unless
//! it was started to keep a copy of them. So nobody puts it to sleep.

use super::{Abort, Capability, Health, Kind, OnDisconnect, Repair, Tokenizer};

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
    on_disconnect: OnDisconnect::Abort(&Abort { path: "/abort_request", id: "rid" }),
    tokenizer: Tokenizer::Prompt("/tokenize"),
};
