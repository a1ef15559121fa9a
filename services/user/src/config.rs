//! What can be configured; `config.default.toml` documents each key.

use std::{path::Path, time::Duration};

use config::{Error, Loaded, SecretFile};
use serde::Deserialize;

use crate::{
    adapters::argon2::Cost,
    app::{ClosingPolicy, SessionPolicy},
    domain::Rotation,
};

/// Every key with its default.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The whole configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where accounts are kept.
    pub database: Database,
    /// Where events go.
    pub bus: messaging::Config,
    /// Where copies are kept.
    pub cache: Cache,
    /// Where HTTP is served.
    pub http: chassis::Listen,
    /// Where gRPC is served.
    pub grpc: chassis::Listen,
    /// Where health and metrics are served.
    pub admin: chassis::Listen,
    /// How services know each other.
    pub service: Service,
    /// The order service.
    pub order: Order,
    /// How long tokens and keys live.
    pub tokens: Tokens,
    /// How passwords are hashed.
    pub passwords: Passwords,
    /// How accounts are closed.
    pub closing: Closing,
    /// How much at once.
    pub limits: chassis::Limits,
    /// Whose pages may call.
    pub cors: chassis::Cors,
    /// How the process ends.
    pub shutdown: chassis::Shutdown,
    /// What is logged.
    pub telemetry: telemetry::Config,
}

impl Config {
    /// Loads the defaults, over them `file`, over both the environment.
    ///
    /// # Errors
    /// A key is unknown, missing or has a value that does not fit; the file cannot be read.
    pub fn load(file: Option<&Path>) -> Result<Loaded<Self>, Error> {
        config::load("user", DEFAULTS, file)
    }

    /// The part that the chassis reads.
    pub fn chassis(&self) -> chassis::Config {
        chassis::Config {
            http: self.http.clone(),
            grpc: self.grpc.clone(),
            admin: self.admin.clone(),
            shutdown: self.shutdown.clone(),
            limits: self.limits.clone(),
            cors: self.cors.clone(),
        }
    }
}

/// Where a backing service is; the scheme picks the adapter.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Its URL.
    pub url: String,
}

/// Section `database`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Its URL.
    pub url: String,
    /// Whether the schema is brought up to date at each start.
    pub migrate: bool,
}

/// Section `cache`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Its URL.
    pub url: String,
    /// How long a copy is used.
    #[serde(with = "config::duration")]
    pub ttl: Duration,
}

/// Section `service`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The secret that the services share.
    pub credential_file: SecretFile,
}

/// Section `order`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Its HTTP interface.
    pub url: String,
    /// How it is called.
    pub client: client::Config,
}

/// Section `tokens`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    #[serde(with = "config::duration")]
    access: Duration,
    #[serde(with = "config::duration")]
    refresh: Duration,
    #[serde(with = "config::duration")]
    rotate_every: Duration,
    #[serde(with = "config::duration")]
    publish_ahead: Duration,
    #[serde(with = "config::duration")]
    publish_after: Duration,
}

impl Tokens {
    /// How long sessions live.
    pub fn sessions(&self) -> SessionPolicy {
        SessionPolicy { access: self.access, refresh: self.refresh }
    }

    /// How signing keys take turns.
    pub fn rotation(&self) -> Rotation {
        let span = crate::app::time_duration;
        Rotation {
            every: span(self.rotate_every),
            publish_ahead: span(self.publish_ahead),
            publish_after: span(self.publish_after.max(self.access)),
        }
    }
}

/// Section `passwords`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passwords {
    memory_kib: u32,
    passes: u32,
    parallel: usize,
    queue: usize,
}

impl From<&Passwords> for Cost {
    fn from(passwords: &Passwords) -> Self {
        let Passwords { memory_kib, passes, parallel, queue } = *passwords;
        Self { memory_kib, passes, parallel: parallel.max(1), queue }
    }
}

/// Section `closing`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closing {
    #[serde(with = "config::duration")]
    at_once: Duration,
    #[serde(with = "config::duration")]
    backoff_min: Duration,
    #[serde(with = "config::duration")]
    backoff_max: Duration,
    #[serde(with = "config::duration")]
    poll: Duration,
}

impl From<&Closing> for ClosingPolicy {
    fn from(closing: &Closing) -> Self {
        let Closing { at_once, backoff_min, backoff_max, poll } = *closing;
        Self { inline_timeout: at_once, backoff_min, backoff_max, poll_interval: poll }
    }
}
