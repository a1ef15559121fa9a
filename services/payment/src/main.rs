//! The payment service's binary.

use std::{io::IsTerminal as _, path::PathBuf, time::Duration};

use clap::Parser;
use payment::{config, wiring};

/// Payments for orders, and the ledger that accounts for them.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// A TOML file over the defaults.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What to do: serve, if nothing is said.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Serves until it is told to stop.
    Serve,
    /// Prints the configuration in force and where each value comes from.
    Config,
    /// Brings the databases' schemas up to date.
    Migrate,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let loaded = config::load(arguments.config.as_deref())?;
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => chassis::runtime()?.block_on(serve(&loaded.value)),
        Command::Migrate => chassis::runtime()?.block_on(wiring::migrate(&loaded.value)),
        Command::Config => {
            let (mut out, colour) = (std::io::stdout(), std::io::stdout().is_terminal());
            Ok(loaded.print(&mut out, colour)?)
        }
    }
}

async fn serve(config: &config::Config) -> anyhow::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let guard = telemetry::init(&config.telemetry, wiring::NAME, version)?;
    let ended = async { chassis::run(config.chassis(), wiring::app(config).await?).await }.await;
    guard.shutdown(Duration::from_secs(2)).await;
    ended
}
