//! The binary's subcommands.

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::{
    config::Config,
    domain::{Email, Role},
    wiring,
};

/// How long the last spans and metrics may take to leave.
const FLUSH: Duration = Duration::from_secs(3);

/// Accounts, sessions and signing keys.
#[derive(Debug, Parser)]
#[command(name = "user", version)]
pub struct Args {
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
    /// Ask the service with this configuration whether it is ready; for health checks of containers.
    Health,
    /// Print version and commit.
    Version,
}

impl Args {
    /// Does what the command line says.
    ///
    /// # Errors
    /// Whatever keeps it from being done, with its causes.
    pub fn run(self) -> Result<()> {
        if matches!(self.command, Some(Command::Version)) {
            println!("user {} ({})", wiring::VERSION, wiring::COMMIT);
            return Ok(());
        }
        let loaded = Config::load(self.config.as_deref())?;
        if matches!(self.command, Some(Command::Config)) {
            let mut out = io::stdout();
            let colour = out.is_terminal();
            return Ok(loaded.print(&mut out, colour)?);
        }
        let config = loaded.value;
        let runtime = chassis::runtime().context("cannot start the runtime")?;
        runtime.block_on(async {
            match self.command {
                Some(Command::Health) => chassis::probe(&config.admin).await,
                Some(Command::Migrate) => wiring::migrate(&config).await,
                Some(Command::Grant { email, role }) => {
                    let email = Email::parse(&email).context("EMAIL")?;
                    wiring::grant(&config, &email, role).await
                }
                _ => serve(&config).await,
            }
        })
    }
}

async fn serve(config: &Config) -> Result<()> {
    let telemetry = telemetry::init(&config.telemetry, wiring::NAME, wiring::VERSION)?;
    let served =
        async { chassis::run(config.chassis(), async || wiring::service(config, clock::system()).await).await }.await;
    if let Err(error) = &served {
        tracing::error!(error = format!("{error:#}"), "the user service failed");
    }
    telemetry.shutdown(FLUSH).await;
    served
}
