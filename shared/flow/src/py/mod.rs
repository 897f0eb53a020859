//! Python's view of JSON values: truth, text, numbers, order, formatting and literals, as flow authors know them.
//!
//! Flows were first run by a Python host, so what a node prints, compares or refuses follows Python 3.11. Everything
//! here is total: recursion, sizes and work are bounded, and what Python would raise comes back as an [`Exception`].

mod exception;
mod format;
mod json;
mod literal;
mod literal_text;
mod measure;
mod number;
mod order;
mod repr;
mod round;
mod spec;
mod text;
mod writer;

pub use exception::{Exception, Raise};
pub use format::str_format;
pub use json::{JsonStyle, json_compact, json_dumps, json_pretty, json_spaced, write_json};
pub use literal::parse_literal;
pub use measure::{Budget, fits};
pub use number::{floor_mod, number_value, parse_float, parse_int, power, to_float, to_int};
pub use order::{compare, equal, truthy};
pub use repr::{ascii, excerpt, float_repr, repr, to_str, type_name};
pub use round::round_half_even;
pub use text::{chars_len, is_space, replace, slice, strip};
pub use writer::Writer;

/// Largest text that one operation may make, in bytes.
pub const TEXT_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of intermediate text that one operation may go through, so that a template cannot ask for work without end.
pub const WORK_BYTES: usize = 8 * TEXT_BYTES;
/// Largest value that one node may give out, as weighed by [`fits`].
pub const VALUE_BYTES: usize = 32 * 1024 * 1024;
/// How deep the walkers of this module follow a value; far above what a document may hold, far below the stack.
pub const RECURSION: usize = 4 * domain::limits::JSON_DEPTH;

#[cfg(test)]
pub(crate) mod tests;
