//! The payment service's binary.

use std::{
    io::{IsTerminal as _, stdout},
    process::ExitCode,
    time::Duration,
};

use clap::Parser as _;
use payment::{
    config::{self, Arguments, Command, Config},
    wiring,
};

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("payment: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if matches!(arguments.command, Some(Command::Version)) {
        println!("{} {} ({})", wiring::NAME, wiring::VERSION, wiring::COMMIT);
        return Ok(());
    }
    let loaded = config::load(arguments.config.as_deref())?;
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => chassis::runtime()?.block_on(serve(&loaded.value)),
        Command::Migrate => chassis::runtime()?.block_on(wiring::migrate(&loaded.value)),
        Command::Health => chassis::runtime()?.block_on(chassis::probe(&loaded.value.admin)),
        Command::Config | Command::Version => Ok(loaded.print(&mut stdout(), stdout().is_terminal())?),
    }
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let guard = telemetry::init(&config.telemetry, wiring::NAME, wiring::VERSION)?;
    let ended = async { chassis::run(config.chassis(), async || wiring::app(config).await).await }.await;
    guard.shutdown(Duration::from_secs(2)).await;
    ended
}
