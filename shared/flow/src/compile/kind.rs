//! What kind of node a type string names, and whether it takes part in control flow.

use super::document::RawNode;
use crate::pure;

/// The behaviours that the interpreter knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Evaluated whenever something reads it.
    Pure(pure::Kind),
    FlowStart,
    FlowEnd,
    UserRequest,
    AgentMessage,
    Schedule,
    Event,
    WaitEvent,
    EmitEvent,
    WaitUntil,
    If,
    Switch,
    Sequence,
    Parallel,
    ForEach,
    For,
    While,
    AskUser,
    AnswerUser,
    LlmCall,
    Subflow,
    SetVar,
    SetVarProperty,
    SetVars,
    AddMessage,
    Join,
    /// A pure function that was given execution pins.
    Function(pure::Kind),
    /// Known to the format, not executed by this version.
    Unsupported,
    /// The same, for a node outside control flow.
    UnsupportedPure,
    /// Unknown to the format: passes its input on.
    Identity,
}

impl Kind {
    /// Whether the node is evaluated when it is read, rather than executed when control reaches it.
    pub(crate) fn is_pure(self) -> bool {
        matches!(self, Self::Pure(_) | Self::UnsupportedPure)
    }
}

/// Node types of the format that this version compiles and does not execute.
const UNSUPPORTED: &[&str] = &[
    "agent",
    "tool_calls",
    "call_tool",
    "model_residency",
    "code",
    "generate_image",
    "edit_image",
    "image_to_image",
    "upscale_image",
    "image_upscale",
    "generate_video",
    "text_to_video",
    "image_to_video",
    "generate_voice",
    "generate_music",
    "transcribe_audio",
    "listen_voice",
    "memory_note",
    "memory_query",
    "memory_tag",
    "memory_compact",
    "memory_rehydrate",
    "memory_kg_assert",
    "memory_kg_query",
    "memory_kg_resolve",
    "memact_compose",
    "read_file",
    "write_file",
    "read_pdf",
    "write_pdf",
    "list_folder_files",
    "import_workspace_file",
    "read_artifact",
    "export_artifact",
    "model_catalog",
    "provider_catalog",
    "provider_models",
];

/// Whether a node takes part in control flow.
pub(crate) fn is_exec(node: &RawNode) -> bool {
    if node.kind == "join_exec" {
        return true;
    }
    if node.has_pins {
        return node.has_exec_pin;
    }
    pure::Kind::parse(&node.kind).is_none()
}

/// The behaviour of a node.
pub(crate) fn kind_of(node: &RawNode) -> Kind {
    if is_exec(node) { exec_kind(&node.kind) } else { pure_kind(&node.kind) }
}

fn pure_kind(name: &str) -> Kind {
    pure::Kind::parse(name).map_or(Kind::UnsupportedPure, Kind::Pure)
}

fn exec_kind(name: &str) -> Kind {
    match name {
        "on_flow_start" => Kind::FlowStart,
        "on_flow_end" => Kind::FlowEnd,
        "on_user_request" => Kind::UserRequest,
        "on_agent_message" => Kind::AgentMessage,
        "on_schedule" => Kind::Schedule,
        "on_event" => Kind::Event,
        "wait_event" => Kind::WaitEvent,
        "emit_event" => Kind::EmitEvent,
        "wait_until" => Kind::WaitUntil,
        "if" => Kind::If,
        "switch" => Kind::Switch,
        "sequence" => Kind::Sequence,
        "parallel" => Kind::Parallel,
        "loop" => Kind::ForEach,
        "for" => Kind::For,
        "while" => Kind::While,
        "ask_user" => Kind::AskUser,
        "answer_user" => Kind::AnswerUser,
        "llm_call" => Kind::LlmCall,
        "subflow" => Kind::Subflow,
        "set_var" => Kind::SetVar,
        "set_var_property" => Kind::SetVarProperty,
        "set_vars" => Kind::SetVars,
        "add_message" => Kind::AddMessage,
        "join_exec" => Kind::Join,
        _ if UNSUPPORTED.contains(&name) => Kind::Unsupported,
        _ => pure::Kind::parse(name).map_or(Kind::Identity, Kind::Function),
    }
}
