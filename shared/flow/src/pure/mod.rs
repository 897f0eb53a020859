//! The nodes that only compute: `eval` gives their output from their inputs, the run's variables and the moment.
//!
//! What a node prints or refuses follows Python (see [`crate::py`]); its pins and outputs follow the VisualFlow node
//! catalogue. Nothing here is kept between two calls, and no input can make a call panic, recurse or grow without end.

/// Declares a family of node types: the enum, and the names that flows use for its members.
macro_rules! node_types {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`.")] $variant),+
        }

        impl $name {
            /// Every member's name in flows.
            #[cfg(test)]
            pub(super) const NAMES: &'static [&'static str] = &[$($text),+];

            /// The member with this name.
            pub(super) fn parse(node_type: &str) -> Option<Self> {
                match node_type {
                    $($text => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// The name in flows.
            pub(super) fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }
    };
}

mod ambient;
mod arrays;
mod call;
mod chance;
mod envelope;
mod json;
mod kind;
mod literals;
mod logic;
mod math;
mod objects;
pub mod path;
mod report;
mod schema;
mod strings;
mod template;
mod variables;

pub use ambient::{Ambient, message};
pub use arrays::Arrays;
pub use call::{Context, value_pins};
pub use envelope::Envelope;
pub use json::read_json;
pub use kind::Kind;
pub use literals::Literals;
pub use logic::Logic;
pub use math::Math;
pub use objects::Objects;
pub use report::Report;
pub use strings::Strings;
pub use variables::Variables;

use crate::py::{Exception, fits};
use call::Call;
use domain::Object;
use serde_json::Value;

/// Evaluates a node: its output is an object of pins, or a plain value for the pins `result` and `output`.
///
/// `data` is the node's own; `inputs` are its pins' values, unset pins left out. An exception is what Python would
/// raise; its message is what clients see.
pub fn eval(kind: Kind, data: &Object, inputs: &Object, cx: &Context<'_>) -> Result<Value, Exception> {
    let call = Call { data, inputs, cx };
    let output = match kind {
        Kind::Math(node) => math::eval(node, &call),
        Kind::Strings(node) => strings::eval(node, &call),
        Kind::Logic(node) => logic::eval(node, &call),
        Kind::Arrays(node) => arrays::eval(node, &call),
        Kind::Objects(node) => objects::eval(node, &call),
        Kind::Envelope(node) => Ok(envelope::eval(node, &call)),
        Kind::Report(node) => report::eval(node, &call),
        Kind::Variables(node) => variables::eval(node, &call),
        Kind::Literals(node) => Ok(literals::eval(node, &call)),
        Kind::Ambient(node) => ambient::eval(node, &call),
    }?;
    fits(&output)?;
    Ok(output)
}

#[cfg(test)]
mod tests;
