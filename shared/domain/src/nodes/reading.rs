//! A value that says where it comes from, or why there is none.

use serde::{Deserialize, Serialize};

/// One value of a node. Whoever makes it must say which of the three it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Reading<T> {
    /// The hardware, its driver or the kernel said so.
    Measured {
        /// The value.
        value: T,
    },
    /// Calculated from other values.
    Derived {
        /// The value.
        value: T,
        /// From what.
        from: String,
    },
    /// There is no value.
    Unavailable {
        /// Why, for a person.
        because: String,
    },
}

impl<T> Reading<T> {
    /// A measured value.
    pub fn measured(value: T) -> Self {
        Self::Measured { value }
    }

    /// A calculated value.
    pub fn derived(value: T, from: impl Into<String>) -> Self {
        Self::Derived { value, from: from.into() }
    }

    /// No value.
    pub fn unavailable(because: impl Into<String>) -> Self {
        Self::Unavailable { because: because.into() }
    }

    /// The value, measured or derived.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Measured { value } | Self::Derived { value, .. } => Some(value),
            Self::Unavailable { .. } => None,
        }
    }

    /// The value changed, its origin kept.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Self::Measured { value } => Reading::Measured { value: change(value) },
            Self::Derived { value, from } => Reading::Derived { value: change(value), from },
            Self::Unavailable { because } => Reading::Unavailable { because },
        }
    }
}
