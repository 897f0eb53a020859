//! Takes the arguments and the environment, and ends with the exit code of what it was asked to do.

use clap::Parser;
use gantry::cli::{Cli, Screen, run};
use service::config::Environment;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The only place that reads the environment of the process.
    let environment = Environment::from_os(std::env::vars_os());
    let screen = Screen::of_process(&environment);
    run(cli, environment, screen)
}
