//! The command line.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use servers::Server;

use crate::commands;

/// Runs user, order and payment on this machine and supervises them.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Arguments {
    /// Where databases, logs, secrets and the state of this command are kept.
    #[arg(long, global = true, value_name = "DIR", default_value = ".trireme")]
    data: PathBuf,
    #[command(subcommand)]
    command: Command,
}

/// A bus that `up --servers` can start.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum BusServer {
    Nats,
    Kafka,
    #[value(name = "rabbitmq")]
    RabbitMq,
}

impl From<BusServer> for Server {
    fn from(bus: BusServer) -> Self {
        match bus {
            BusServer::Nats => Self::Nats,
            BusServer::Kafka => Self::Kafka,
            BusServer::RabbitMq => Self::RabbitMq,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start all three services and keep them running, on embedded defaults or on real servers.
    Up {
        /// Start the installed PostgreSQL, MongoDB, Redis, OpenSearch and a bus too, and run the services on them; `make servers`
        /// installs them. Their data is kept apart from that of the embedded defaults.
        #[arg(long)]
        servers: bool,
        /// Which bus that is.
        #[arg(long, value_enum, default_value_t = BusServer::Nats, requires = "servers")]
        bus: BusServer,
        /// Start what `make observe` installs, too: a collector, Jaeger and Prometheus, which watch the services. Their addresses
        /// are printed.
        #[arg(long)]
        observe: bool,
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
    /// Show what happens to orders while it happens: those of the account whose access token is in `TRIREME_TOKEN`.
    ///
    /// A connection that breaks is resumed, without a gap or a repetition.
    Watch(commands::watch::Question),
    /// Show what happened to an order as a tree: services, spans, how long each took, events over the bus, what failed.
    ///
    /// Each trace that changed the order is shown, the oldest first. What only looked at it is not.
    Trace(commands::trace::Question),
    /// Show how the services are, each second: requests, errors, durations, what waits, memory.
    Top {
        /// Show it once, of one second, and end.
        #[arg(long)]
        once: bool,
    },
    /// Ask the running services to prove that stock, orders and money add up.
    Verify,
    /// Place an order through a gateway and cancel it, to see that a deployment works.
    ///
    /// A new customer signs up, orders one piece of the first product that is there, sees the order confirmed and
    /// counted, cancels it, sees it cancelled and the payment voided, and closes the account, also where something went
    /// wrong before. What stays is a cancelled order without a name. Ends with 0, or says what went wrong.
    Smoke {
        /// Where the public interface of all three is.
        #[arg(default_value = "http://127.0.0.1:8080", env = "TRIREME_URL")]
        url: String,
        /// Mark each request for the canary, `x-canary: true`, and make sure that version 2 answers, where the
        /// entry point says so (`x-upstream`).
        #[arg(long)]
        canary: bool,
        /// The key by which a gateway lets the mark through, in a file.
        #[arg(long, value_name = "FILE", requires = "canary")]
        canary_key: Option<PathBuf>,
    },
    /// Show which lines a service writes, or have it write others for a while.
    ///
    /// Without a restart; the service goes back by itself. SIGUSR1 does the same with `debug`, for ten minutes.
    Log(commands::log::Question),
    /// Compare version 2 of a service with version 1 by what Prometheus knows: promote it, or roll it back.
    ///
    /// Asks for requests, their errors (HTTP 5xx, and the codes of gRPC that stand for the same) and their durations, by
    /// the label `version` (v1, v2) of the service's job.
    /// Ends with 0 for go, 3 for no-go, and 4 where it is too early to tell; 1 is an error, as anywhere.
    Canary {
        /// user, order or payment.
        service: String,
        #[command(flatten)]
        question: commands::canary::Question,
    },
    /// Print where the services are, for a shell: `eval "$(trireme env)"`.
    ///
    /// Also a product that can be ordered, and the folder of this program as the first of the PATH.
    Env,
    /// Print an access token of an account, which is made where there is none.
    ///
    /// With the password of the demo's accounts.
    Token {
        /// The account's e-mail address.
        email: String,
    },
    /// Give an account a role, from its next log-in on.
    Grant {
        /// The account's e-mail address.
        email: String,
        /// What it may do.
        role: Role,
    },
    /// Show the dead letters: events that a consumer has given up, or a service could not publish; replay or discard them.
    ///
    /// An event goes to the dead letters when its handler has failed as often as its policy allows, or says that
    /// trying again is useless. The later events of its key were handled without it. Repair the cause, then replay it: it is handled again,
    /// after what waits for the same key, by the group that gave it up and by no other.
    ///
    /// A group has room for so many (10,000; NATS: 100,000 of all groups), and what fails then is tried until there is room: discard
    /// those that nobody has to handle any more.
    ///
    /// The group `outbox` is what the bus refused for good, or what a service cannot read in its own outbox: replayed, it is
    /// offered to the bus again. The services tell of it by their admin ports.
    Dlq {
        #[command(flatten)]
        place: commands::dlq::Place,
        #[command(subcommand)]
        action: commands::dlq::Action,
    },
}

/// What an account may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// Order for oneself.
    Customer,
    /// Fulfil orders, manage products.
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
            Command::Up { detach, servers, bus, observe, detached } => {
                let servers = servers.then(|| bus.into());
                if detach {
                    commands::up::detach(&data, servers, observe).await
                } else {
                    commands::up::run(&data, servers, observe, detached).await
                }
            }
            Command::Down => commands::down::run(&data).await,
            Command::Demo { once } => commands::demo::run(&data, once).await,
            Command::Status { json } => commands::status::run(&data, json),
            Command::Dlq { place, action } => commands::dlq::run(&data, place, action).await,
            Command::Watch(question) => commands::watch::run(&data, question).await,
            Command::Trace(question) => commands::trace::run(&data, question).await,
            Command::Top { once } => commands::top::run(&data, once).await,
            Command::Verify => commands::verify::run(&data).await,
            Command::Smoke { url, canary, canary_key } => {
                commands::smoke::run(&url, canary, canary_key.as_deref()).await
            }
            Command::Log(question) => commands::log::run(&data, question).await,
            Command::Canary { service, question } => commands::canary::run(&service, &question).await,
            Command::Env => commands::env::run(&data).await,
            Command::Token { email } => commands::token::run(&data, &email).await,
            Command::Grant { email, role } => {
                let role = if matches!(role, Role::Operator) { "operator" } else { "customer" };
                commands::grant::run(&data, &email, role).await
            }
        }
    }
}
