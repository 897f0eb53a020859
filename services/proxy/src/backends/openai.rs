//! Any server that speaks the OpenAI protocol: nothing is known of its make, so everything known is mended.
//!
//! What becomes of a request whose connection is closed is for each server to know; `on_disconnect = "drain"` is for those
//! that work on.

use super::{ALL_REPAIRS, Health, Kind, OPENAI_ALL, OnDisconnect, Tokenizer};

pub(crate) static KIND: Kind = Kind {
    name: "openai",
    title: "OpenAI-compatible",
    health: Health::ModelList,
    can: OPENAI_ALL,
    keeps_connections: true,
    sleep: None,
    usage_option: true,
    floats_only: false,
    repairs: ALL_REPAIRS,
    on_disconnect: OnDisconnect::Propagate,
    tokenizer: Tokenizer::None,
};
