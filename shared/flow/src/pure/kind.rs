//! Which node types are pure.

use super::{Ambient, Arrays, Envelope, Literals, Logic, Math, Objects, Report, Strings, Variables};

/// A pure node type, by family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Arithmetic and chance.
    Math(Math),
    /// Texts.
    Strings(Strings),
    /// Decisions.
    Logic(Logic),
    /// Lists.
    Arrays(Arrays),
    /// Objects and JSON.
    Objects(Objects),
    /// Objects of an agreed shape.
    Envelope(Envelope),
    /// Texts about what happened.
    Report(Report),
    /// Reading the run's variables.
    Variables(Variables),
    /// Values that stand in the flow.
    Literals(Literals),
    /// What depends on the moment or the host.
    Ambient(Ambient),
}

impl Kind {
    /// The kind of a node type; `None` when the type is not one of these.
    pub fn parse(node_type: &str) -> Option<Self> {
        let simple = Math::parse(node_type)
            .map(Self::Math)
            .or_else(|| Strings::parse(node_type).map(Self::Strings))
            .or_else(|| Logic::parse(node_type).map(Self::Logic))
            .or_else(|| Arrays::parse(node_type).map(Self::Arrays))
            .or_else(|| Objects::parse(node_type).map(Self::Objects));
        simple
            .or_else(|| Envelope::parse(node_type).map(Self::Envelope))
            .or_else(|| Report::parse(node_type).map(Self::Report))
            .or_else(|| Variables::parse(node_type).map(Self::Variables))
            .or_else(|| Literals::parse(node_type).map(Self::Literals))
            .or_else(|| Ambient::parse(node_type).map(Self::Ambient))
    }

    /// The node type, as flows name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Math(node) => node.name(),
            Self::Strings(node) => node.name(),
            Self::Logic(node) => node.name(),
            Self::Arrays(node) => node.name(),
            Self::Objects(node) => node.name(),
            Self::Envelope(node) => node.name(),
            Self::Report(node) => node.name(),
            Self::Variables(node) => node.name(),
            Self::Literals(node) => node.name(),
            Self::Ambient(node) => node.name(),
        }
    }

    /// Whether a node of this kind that lists no pins at all is pure.
    pub fn default_pure(self) -> bool {
        !matches!(self, Self::Ambient(Ambient::AddMessage | Ambient::Function))
    }
}
