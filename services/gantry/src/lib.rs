//! The one program: `gantry up` runs everything in one process, `gantry api|runner|proxy` runs one service, and
//! every other subcommand is the client.
//!
//! - [`cli`]: the client. Standard output is data, standard error is progress.
//! - [`serve`]: the subcommands that run services.
//! - [`settings`]: every section of settings, for the services and for `gantry config show`.

pub mod cli;
pub mod process;
pub mod serve;
pub mod settings;
