//! The command line.

use std::{
    io::{IsTerminal as _, stdout},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::{
    config::Config,
    domain::{Email, Role},
    wiring,
};

/// Accounts, sessions and signing keys.
#[derive(Debug, Parser)]
#[command(name = wiring::NAME, version)]
pub struct Cli {
    /// A TOML file that comes over the defaults; the environment (`TRIREME_SECTION__KEY`) comes over both.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGINT or SIGTERM; the default.
    Serve,
    /// Print the effective configuration, secrets masked, each value with its origin.
    Config,
    /// Bring the database's schema up to date and end.
    Migrate,
    /// Give the account with this e-mail address a role, from its next token on.
    Grant {
        /// The account's address.
        email: String,
        /// `operator` or `customer`.
        role: Role,
    },
    /// Have another key sign access tokens, as soon as everybody can know it.
    RotateKeys,
    /// Ask the service with this configuration whether it is ready; for health checks of containers.
    Health,
    /// Print version and commit.
    Version,
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// Whatever keeps it from being done, with its causes.
    pub fn run(self) -> Result<()> {
        let command = self.command.unwrap_or(Command::Serve);
        if matches!(command, Command::Version) {
            println!("{} {} ({})", wiring::NAME, wiring::VERSION, wiring::COMMIT);
            return Ok(());
        }
        let loaded = Config::load(self.config.as_deref())?;
        if matches!(command, Command::Config) {
            return Ok(loaded.print(&mut stdout(), stdout().is_terminal())?);
        }
        chassis::runtime().context("cannot start the runtime")?.block_on(execute(command, &loaded.value))
    }
}

async fn execute(command: Command, config: &Config) -> Result<()> {
    match command {
        Command::Serve => serve(config).await,
        Command::Migrate => wiring::migrate(config).await,
        Command::Grant { email, role } => {
            let email = Email::parse(&email).context("EMAIL")?;
            wiring::grant(config, &email, role).await
        }
        Command::RotateKeys => {
            let takeover = wiring::rotate_keys(config, clock::system()).await?;
            println!("another key signs from {takeover} on");
            Ok(())
        }
        Command::Health => chassis::probe(&config.admin).await,
        Command::Config | Command::Version => Ok(()),
    }
}

async fn serve(config: &Config) -> Result<()> {
    let serving = chassis::run(config.chassis(), async || wiring::app(config, clock::system()).await);
    telemetry::observed(&config.telemetry, wiring::NAME, wiring::VERSION, serving).await
}
