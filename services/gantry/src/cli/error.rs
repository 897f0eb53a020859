//! What went wrong, why, and what to do next; and the exit code that says so to a script.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what it was asked to do.
    Ok,
    /// It failed, or the run it waited for did.
    Failed,
    /// It was asked for something that makes no sense.
    Usage,
    /// The run it waited for was cancelled.
    Cancelled,
    /// It waited for as long as it was told to.
    TimedOut,
}

impl Exit {
    /// The number that a script sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Cancelled => 3,
            Self::TimedOut => 124,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// A failure as a person reads it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct Trouble {
    /// What failed: `cannot start 'hello'`.
    pub what: String,
    /// Why.
    pub why: String,
    /// The next command to try.
    pub next: Option<String>,
    /// How the program ends.
    pub exit: Exit,
}

impl Trouble {
    /// A failure without advice.
    pub fn new(what: impl Into<String>, why: impl ToString) -> Self {
        Self { what: what.into(), why: why.to_string(), next: None, exit: Exit::Failed }
    }

    /// A request that makes no sense.
    pub fn usage(what: impl Into<String>, why: impl ToString) -> Self {
        Self { exit: Exit::Usage, ..Self::new(what, why) }
    }

    /// With the next command to try.
    pub fn next(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }

    /// The reader of the output is gone, as with `| head`. Nothing is left to say and nobody to say it to.
    pub fn nobody_listens() -> Self {
        Self { exit: Exit::Ok, ..Self::new("", "") }
    }
}
