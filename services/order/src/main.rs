//! The order service's binary.

use std::process::ExitCode;

use clap::Parser as _;
use order::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("order: {error:#}");
            ExitCode::FAILURE
        }
    }
}
