//! The command line.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

use crate::commands;

/// Runs user, order and payment on this machine, and looks after them.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Arguments {
    /// Where databases, logs, secrets and the state of this command are kept.
    #[arg(long, global = true, value_name = "DIR", default_value = ".trireme")]
    data: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start all three services on embedded defaults and keep them running.
    Up {
        /// Run in the background; logs go to files in the data directory.
        #[arg(long)]
        detach: bool,
        /// What `--detach` starts.
        #[arg(long, hide = true, conflicts_with = "detach")]
        detached: bool,
    },
    /// Stop what `up` started.
    Down,
    /// Start everything and tell the story of a real order; then stay up.
    Demo {
        /// Tell it, verify it, stop, and end with 0 or 1.
        #[arg(long)]
        once: bool,
    },
    /// Show what runs, and where.
    Status {
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Ask the running services to prove that stock, orders and money add up.
    Verify,
    /// Give an account a role, from its next log-in on.
    Grant {
        /// The account's e-mail address.
        email: String,
        /// What it may do.
        role: Role,
    },
}

/// What an account may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// Order for oneself.
    Customer,
    /// Fulfil orders, look after products.
    Operator,
}

impl Arguments {
    /// Does what the command line says.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from being done, with its causes and what to do about it.
    pub async fn run(self) -> Result<ExitCode> {
        let data = self.data;
        match self.command {
            Command::Up { detach: true, .. } => commands::up::detach(&data).await,
            Command::Up { detached, .. } => commands::up::run(&data, detached).await,
            Command::Down => commands::down::run(&data).await,
            Command::Demo { once } => commands::demo::run(&data, once).await,
            Command::Status { json } => commands::status::run(&data, json),
            Command::Verify => commands::verify::run(&data).await,
            Command::Grant { email, role } => {
                let role = if matches!(role, Role::Operator) { "operator" } else { "customer" };
                commands::grant::run(&data, &email, role).await
            }
        }
    }
}
