//! Completions for shells and pages for `man`, made from the same description as the command line itself.

use super::{Cli, Exit, Session, Trouble};
use clap::CommandFactory;
use std::path::Path;

/// Prints the completions of a shell.
pub(super) fn completions(shell: clap_complete::Shell, session: &mut Session) -> Result<Exit, Trouble> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "gantry", &mut script);
    session.screen.data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}

/// Prints the page of the program, or writes the pages of all commands into a directory.
pub(super) fn manual(into: Option<&Path>, session: &mut Session) -> Result<Exit, Trouble> {
    let failed = |error: std::io::Error| Trouble::new("cannot write the manual pages", error);
    match into {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(failed)?;
            session.screen.data(&String::from_utf8_lossy(&page))?;
        }
        Some(directory) => {
            std::fs::create_dir_all(directory).map_err(failed)?;
            clap_mangen::generate_to(Cli::command(), directory).map_err(failed)?;
            session.screen.remark(&format!("wrote the manual pages into {}", directory.display()));
        }
    }
    Ok(Exit::Ok)
}
