//! The command line.

use std::{
    fs,
    io::{IsTerminal as _, stdout},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::{config::Config, wiring};

/// Products, stock and orders.
#[derive(Debug, Parser)]
#[command(name = wiring::NAME, version)]
pub struct Cli {
    /// A file whose keys come over the defaults; environment variables come over both.
    #[arg(long, global = true)]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the service; what happens without a command, too.
    Serve,
    /// Prints the effective configuration and where each value comes from.
    Config,
    /// Brings the database's schema and indexes up to date.
    Migrate,
    /// Adds products that are not in the catalogue yet.
    Seed {
        /// A JSON array of products; without it the ones that come along.
        file: Option<PathBuf>,
    },
    /// Asks the service with this configuration whether it is ready; for health checks of containers.
    Health,
    /// Prints version and commit.
    Version,
}

impl Cli {
    /// Prints the version, if that was asked for.
    pub fn tells_version(&self) -> bool {
        let asked = matches!(self.command, Some(Command::Version));
        if asked {
            println!("{} {} ({})", wiring::NAME, wiring::VERSION, wiring::COMMIT);
        }
        asked
    }

    /// Prints the configuration, if that was asked for.
    pub fn shows(&self, loaded: &config::Loaded<Config>) -> Result<bool> {
        let asked = matches!(self.command, Some(Command::Config));
        if asked {
            loaded.print(&mut stdout(), stdout().is_terminal())?;
        }
        Ok(asked)
    }

    /// Does what was asked for.
    pub async fn run(&self, config: &Config) -> Result<()> {
        match &self.command {
            None | Some(Command::Serve) => chassis::run(config.chassis(), async || wiring::service(config).await).await,
            Some(Command::Health) => chassis::probe(&config.admin).await,
            Some(Command::Migrate) => wiring::migrate(config).await,
            Some(Command::Seed { file }) => seed(config, file.as_ref()).await,
            Some(Command::Config | Command::Version) => Ok(()),
        }
    }
}

async fn seed(config: &Config, file: Option<&PathBuf>) -> Result<()> {
    let read = |path: &PathBuf| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let json = file.map(read).transpose()?;
    let seeded = wiring::seed(config, json.as_deref()).await?;
    tracing::info!(added = seeded.added, present = seeded.present, "the catalogue is seeded");
    Ok(())
}
