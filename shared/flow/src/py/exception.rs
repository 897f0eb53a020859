//! What Python would raise, as a value.

use std::fmt;

/// The exception types that nodes can raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raise {
    /// A value of the right type that makes no sense.
    ValueError,
    /// A value of the wrong type.
    TypeError,
    /// A key that is not there.
    KeyError,
    /// A position that is not there.
    IndexError,
    /// An attribute that is not there.
    AttributeError,
    /// Division by zero.
    ZeroDivisionError,
    /// A number too large for its type.
    OverflowError,
    /// Nesting beyond what is followed.
    RecursionError,
    /// A result or an amount of work beyond the limits.
    MemoryError,
    /// Something this runtime does not offer.
    NotImplementedError,
}

impl fmt::Display for Raise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A raised exception. Displays as its message alone; [`Exception::report`] puts the type before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Exception {
    /// Its type.
    pub raise: Raise,
    /// What `str(exception)` gives.
    pub message: String,
}

impl Exception {
    /// An exception of a type, with its message.
    pub fn new(raise: Raise, message: impl Into<String>) -> Self {
        Self { raise, message: message.into() }
    }

    /// A `ValueError`.
    pub fn value(message: impl Into<String>) -> Self {
        Self::new(Raise::ValueError, message)
    }

    /// A `TypeError`.
    pub fn type_error(message: impl Into<String>) -> Self {
        Self::new(Raise::TypeError, message)
    }

    /// A `MemoryError`: the result of `what` would pass its limit of `bytes`.
    pub fn too_large(what: &str, bytes: usize) -> Self {
        Self::new(Raise::MemoryError, format!("{what} would be larger than {bytes} bytes"))
    }

    /// `<Type>: <message>`, as a failed run tells it.
    pub fn report(&self) -> String {
        format!("{}: {}", self.raise, self.message)
    }
}
