//! Why a flow cannot be compiled.

/// A flow that cannot be executed as it is written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("flow '{flow}' cannot be compiled: {reason}")]
pub struct CompileError {
    /// The flow.
    pub flow: String,
    /// What is wrong with it, for its author.
    pub reason: String,
}

impl CompileError {
    pub(crate) fn new(flow: &str, reason: impl Into<String>) -> Self {
        Self { flow: flow.to_owned(), reason: reason.into() }
    }
}
