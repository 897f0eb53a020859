//! The kinds of model server, one file each: what such a server can do, and where its wire differs.
//!
//! A kind is data. To add one, write its file with one `pub(crate) static`, and name it in [`ALL`].

mod llamacpp;
mod lmstudio;
mod localai;
mod ollama;
mod openai;
mod refusal;
mod sglang;
#[cfg(test)]
mod tests;
mod tgi;
mod vllm;

pub(crate) use refusal::{as_told, inside_success, read as read_refusal};

/// Every kind that a configuration may name.
pub(crate) static ALL: [&Kind; 8] = [
    &vllm::KIND,
    &ollama::KIND,
    &llamacpp::KIND,
    &tgi::KIND,
    &sglang::KIND,
    &localai::KIND,
    &lmstudio::KIND,
    &openai::KIND,
];

/// The kind of that name.
pub(crate) fn kind(name: &str) -> Option<&'static Kind> {
    ALL.into_iter().find(|kind| kind.name == name)
}

/// What is true of all servers of one kind.
#[derive(Debug)]
pub(crate) struct Kind {
    /// As `BACKEND_KIND` names it.
    pub(crate) name: &'static str,
    /// As people write it.
    pub(crate) title: &'static str,
    /// How to ask whether it is well.
    pub(crate) health: Health,
    /// What it can do.
    pub(crate) can: &'static [Capability],
    /// Whether a connection is kept for the next request; else each request has one of its own, because an idle one would
    /// keep the server from taking another.
    pub(crate) keeps_connections: bool,
    /// How it is put to sleep and woken, if it can sleep.
    pub(crate) sleep: Option<&'static Sleep>,
    /// Whether it takes `stream_options.include_usage`.
    pub(crate) usage_option: bool,
    /// Whether embeddings must be asked for as numbers and turned into base64 here.
    pub(crate) floats_only: bool,
    /// What its chunks and answers need mended.
    pub(crate) repairs: &'static [Repair],
    /// What to do with its request when the client has gone.
    pub(crate) on_disconnect: OnDisconnect,
    /// How it counts the tokens of a text.
    pub(crate) tokenizer: Tokenizer,
}

/// How to ask a server whether it is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// GET this path beside `/v1`; any 2xx is well.
    Path(&'static str),
    /// It has no such path: its model list must answer.
    ModelList,
}

/// A thing that a server may or may not be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/completions`
    Completions,
    /// `/v1/embeddings`
    Embeddings,
    /// `/v1/messages` of its own; without it the proxy translates.
    Messages,
    /// `/v1/responses`
    Responses,
    /// `/v1/rerank`
    Rerank,
    /// `/v1/audio/speech`
    Speech,
    /// `/v1/audio/transcriptions`
    Transcriptions,
    /// `/v1/images/generations`
    Images,
}

/// A way in which a server's answers depart from the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repair {
    /// `id`, `object`, `created`, `model`, `choices` or `delta` missing or null.
    Envelope,
    /// The first delta without a role, later ones with `role: null`.
    Role,
    /// `finish_reason: ""` where null is meant.
    EmptyFinish,
    /// A second finish chunk for one choice.
    SecondFinish,
    /// Tool calls without an index, or several with the same.
    ToolIndex,
    /// Tool arguments as an object in the place of a text.
    ToolArguments,
    /// Empty names on later pieces of a tool call.
    ToolName,
    /// `stop` where tools were called.
    ToolFinish,
    /// A usage of zeros on every chunk.
    ZeroUsage,
    /// Anthropic's events without the `message_start` that begins them.
    MessageStart,
}

/// What to do with the server's request when the client has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnDisconnect {
    /// Close the connection; the server notices and stops.
    Propagate,
    /// Read on to the end of the answer, and count the request until then: the server would work on all the same, and would
    /// be thought idle.
    Drain,
    /// Tell the server, and only then close the connection.
    Abort(&'static Abort),
}

/// The same, as a configuration says it of one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DisconnectRule {
    /// Close the connection.
    Propagate,
    /// Read the answer to its end and count the request until then, for servers that work on all the same.
    Drain,
    /// Tell the server to stop. Only for kinds that can be told.
    Abort,
}

/// How a server is told to stop one request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Abort {
    /// POST this path beside `/v1`, with an object that holds the member below.
    pub(crate) path: &'static str,
    /// The member of a request, and of that object, which names the request.
    pub(crate) id: &'static str,
}

/// How a server gives its GPU memory back without ending. All paths are beside `/v1`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sleep {
    /// GET: whether it sleeps.
    pub(crate) asked: &'static str,
    /// The member of that answer which says so.
    pub(crate) answer: &'static str,
    /// POST: to sleep.
    pub(crate) sleep: &'static str,
    /// POST: to wake.
    pub(crate) wake: &'static str,
}

/// How a server counts tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tokenizer {
    /// It does not say; an estimate has to do.
    None,
    /// POST this path with `{"model","prompt"}`, answer `{"count"}`.
    Prompt(&'static str),
    /// POST this path with `{"content"}`, answer `{"tokens":[…]}`.
    Content(&'static str),
}

impl Kind {
    /// Whether servers of this kind have it, unless their configuration says otherwise.
    pub(crate) fn can(&self, what: Capability) -> bool {
        self.can.contains(&what)
    }

    /// Whether its answers need this mended.
    pub(crate) fn needs(&self, repair: Repair) -> bool {
        self.repairs.contains(&repair)
    }
}

impl OnDisconnect {
    /// The word that `/health` shows.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Propagate => "propagate",
            Self::Drain => "drain",
            Self::Abort(_) => "abort",
        }
    }
}

impl Capability {
    /// All of them.
    pub(crate) const ALL: [Self; 9] = [
        Self::Chat,
        Self::Completions,
        Self::Embeddings,
        Self::Messages,
        Self::Responses,
        Self::Rerank,
        Self::Speech,
        Self::Transcriptions,
        Self::Images,
    ];

    /// In words, for an error.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Chat => "chat completions",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Messages => "messages",
            Self::Responses => "responses",
            Self::Rerank => "rerank",
            Self::Speech => "speech",
            Self::Transcriptions => "transcriptions",
            Self::Images => "image generation",
        }
    }
}

/// Every capability that comes over the OpenAI protocol.
const OPENAI_ALL: &[Capability] = &[
    Capability::Chat,
    Capability::Completions,
    Capability::Embeddings,
    Capability::Responses,
    Capability::Rerank,
    Capability::Speech,
    Capability::Transcriptions,
    Capability::Images,
];
/// Every departure that was seen anywhere; for servers of unknown make.
const ALL_REPAIRS: &[Repair] = &[
    Repair::Envelope,
    Repair::Role,
    Repair::EmptyFinish,
    Repair::SecondFinish,
    Repair::ToolIndex,
    Repair::ToolArguments,
    Repair::ToolName,
    Repair::ToolFinish,
    Repair::ZeroUsage,
];
