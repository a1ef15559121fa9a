//! The order service's binary.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Parser as _;
use order::{cli::Cli, config::Config, wiring};

/// How long telemetry may take to leave at the end.
const FLUSH: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("order: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    if cli.tells_version() {
        return Ok(());
    }
    let loaded = Config::load(cli.config.as_deref())?;
    if cli.shows(&loaded)? {
        return Ok(());
    }
    let config = loaded.value;
    chassis::runtime()?.block_on(async {
        let telemetry = telemetry::init(&config.telemetry, wiring::NAME, wiring::VERSION)?;
        let outcome = cli.run(&config).await;
        telemetry.shutdown(FLUSH).await;
        outcome
    })
}
