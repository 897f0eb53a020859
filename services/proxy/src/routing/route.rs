//! The paths that are relayed, and what a backend must be able to do for each.

use super::backend::Backend;
use crate::backends::Capability;

/// A path of the API that goes to a model server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Route {
    Chat,
    Completions,
    Embeddings,
    Messages,
    CountTokens,
    Responses,
    Rerank,
    Speech,
    Transcriptions,
    Images,
}

impl Route {
    /// All of them.
    pub(crate) const ALL: [Self; 10] = [
        Self::Chat,
        Self::Completions,
        Self::Embeddings,
        Self::Messages,
        Self::CountTokens,
        Self::Responses,
        Self::Rerank,
        Self::Speech,
        Self::Transcriptions,
        Self::Images,
    ];

    /// The one with exactly that path.
    pub(crate) fn of(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|route| route.path() == path)
    }

    /// The path clients call.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Messages => "/v1/messages",
            Self::CountTokens => "/v1/messages/count_tokens",
            Self::Responses => "/v1/responses",
            Self::Rerank => "/v1/rerank",
            Self::Speech => "/v1/audio/speech",
            Self::Transcriptions => "/v1/audio/transcriptions",
            Self::Images => "/v1/images/generations",
        }
    }

    /// The same below a backend's base URL.
    pub(crate) fn upstream_path(self) -> &'static str {
        self.path().strip_prefix("/v1").unwrap_or(self.path())
    }

    /// What a backend must be able to do.
    pub(crate) fn needs(self) -> Capability {
        match self {
            Self::Chat => Capability::Chat,
            Self::Completions => Capability::Completions,
            Self::Embeddings => Capability::Embeddings,
            Self::Messages | Self::CountTokens => Capability::Messages,
            Self::Responses => Capability::Responses,
            Self::Rerank => Capability::Rerank,
            Self::Speech => Capability::Speech,
            Self::Transcriptions => Capability::Transcriptions,
            Self::Images => Capability::Images,
        }
    }

    /// Whether the backend can serve it, by itself or through translation.
    pub(crate) fn is_served_by(self, backend: &Backend) -> bool {
        backend.can(self.needs()) || (self.is_anthropic() && backend.can(Capability::Chat))
    }

    /// Whether its requests may become jobs: whether their answer is of use to somebody who comes back for it.
    pub(crate) fn can_wait(self) -> bool {
        self != Self::CountTokens
    }

    /// What it does, in the words of OpenTelemetry's conventions.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::Chat | Self::Messages | Self::Responses => "chat",
            Self::Completions => "text_completion",
            Self::Embeddings => "embeddings",
            Self::CountTokens => "count_tokens",
            Self::Rerank => "rerank",
            Self::Speech => "speech",
            Self::Transcriptions => "transcription",
            Self::Images => "image_generation",
        }
    }

    /// Whether clients of the Anthropic protocol call it.
    pub(crate) fn is_anthropic(self) -> bool {
        matches!(self, Self::Messages | Self::CountTokens)
    }
}
