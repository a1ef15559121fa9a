//! The payment service's binary.

use std::process::ExitCode;

use clap::Parser as _;
use payment::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("payment: {error:#}");
            ExitCode::FAILURE
        }
    }
}
