//! Looks at every chunk once; passes it on as it is when it keeps the contract, and mends it when it does not.

mod chunk;
mod mend;
mod state;
mod tools;

pub(crate) use chunk::Chunk;
pub(crate) use mend::Mender;
pub(crate) use state::stringify_arguments;
