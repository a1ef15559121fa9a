//! The command line.

use std::{
    fs,
    io::{IsTerminal as _, stderr, stdout},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::{
    config::Config,
    wiring::{self, Progress},
};

/// Products, stock and orders.
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
    /// Bring the database's schema and indexes up to date and end.
    Migrate,
    /// Add products that are not in the catalogue yet.
    Seed {
        /// A JSON array of products; without it the ones that come along.
        file: Option<PathBuf>,
    },
    /// Build the indices of the search server anew from the database, while the service runs; carry on where it was
    /// interrupted.
    Reindex,
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
        Command::Seed { file } => seed(config, file.as_deref()).await,
        Command::Reindex => observed(config, wiring::reindex(config, show)).await,
        Command::Health => chassis::probe(&config.admin).await,
        Command::Config | Command::Version => Ok(()),
    }
}

async fn serve(config: &Config) -> Result<()> {
    observed(config, chassis::run(config.chassis(), async || wiring::app(config, clock::system()).await)).await
}

async fn seed(config: &Config, file: Option<&Path>) -> Result<()> {
    let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let json = file.map(read).transpose()?;
    observed(config, async {
        let seeded = wiring::seed(config, json.as_deref()).await?;
        tracing::info!(added = seeded.added, present = seeded.present, "catalogue seeded");
        Ok(())
    })
    .await
}

/// How wide the bar of progress is, in characters.
const BAR: u64 = 40;
/// How many documents there are between two lines of progress, where there is no terminal.
const LINE: u64 = 10_000;

/// Shows how far a build is: a bar on a terminal, else a line now and then.
fn show(progress: Progress, total: u64) {
    let Progress { of, done, resumed, finished } = progress;
    if !stderr().is_terminal() {
        if finished || done % LINE == 0 {
            tracing::info!(search.index = of.name(), done, total, resumed, finished, "indexing");
        }
        return;
    }
    // What was written while it ran, and what an interrupted build had done, make more or less of it.
    let filled = if finished { BAR } else { (done * BAR / total.max(1)).min(BAR) };
    let bar: String = (0..BAR).map(|at| if at < filled { '█' } else { '░' }).collect();
    let state = match (finished, resumed) {
        (true, _) => "in use",
        (false, true) => "carried on",
        (false, false) => "",
    };
    eprint!("\r{:<9} {bar} {done} of {total} {state}{}", of.name(), if finished { "\n" } else { "" });
}

/// Does it with telemetry.
async fn observed(config: &Config, work: impl Future<Output = Result<()>>) -> Result<()> {
    telemetry::observed(&config.telemetry, wiring::NAME, wiring::VERSION, work).await
}
