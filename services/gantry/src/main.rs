//! Takes the arguments and the environment, and ends with the exit code of what it was asked to do.

use clap::Parser;
use gantry::cli::{Cli, Screen, run};
use service::config::Environment;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let environment = environment();
    let screen = Screen::of_process(&environment);
    run(cli, environment, screen)
}

#[expect(clippy::disallowed_methods, reason = "the only place that reads the environment of the process")]
fn environment() -> Environment {
    Environment::from_os(std::env::vars_os())
}
