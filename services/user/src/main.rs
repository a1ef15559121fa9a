//! The user service's binary.

use std::process::ExitCode;

use clap::Parser as _;
use user::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("user: {error:#}");
            ExitCode::FAILURE
        }
    }
}
