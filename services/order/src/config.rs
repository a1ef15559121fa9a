//! What can be configured; `config.default.toml` documents each key.

use std::{path::Path, time::Duration};

use config::{Error, Loaded, SecretFile};
use serde::Deserialize;

/// Every key with its default.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The whole configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the services share.
    pub service: Service,
    /// Where products and orders are.
    pub database: Database,
    /// Where events go and come from.
    pub bus: messaging::Config,
    /// What is remembered for a while.
    pub cache: Address,
    /// Who does what only one should do.
    pub lock: Address,
    /// How access tokens are checked.
    pub auth: Auth,
    /// The payment service.
    pub payment: Payment,
    /// How orders are carried through.
    pub orders: Orders,
    /// Where HTTP is served.
    pub http: chassis::Listen,
    /// Where gRPC is served.
    pub grpc: chassis::Listen,
    /// Where metrics and health are served.
    pub admin: chassis::Listen,
    /// How the process ends.
    pub shutdown: chassis::Shutdown,
    /// What is refused as too much.
    pub limits: chassis::Limits,
    /// Which web pages may call.
    pub cors: chassis::Cors,
    /// Logs.
    pub telemetry: telemetry::Config,
}

/// What the services share.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The file with the secret of which the services' credentials are made.
    pub credential_file: SecretFile,
}

/// Where products and orders are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Its URL; the scheme picks the adapter.
    pub url: String,
    /// Whether the service makes MongoDB's indexes when it starts.
    pub migrate: bool,
}

/// Where a backing service is; the scheme picks the adapter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Its URL.
    pub url: String,
}

/// How access tokens are checked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Where the user service publishes its keys.
    pub jwks_url: String,
}

/// The payment service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    /// Its gRPC address.
    pub url: String,
    /// How it is called.
    pub client: client::Config,
}

/// How orders are carried through.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orders {
    /// How long a request waits for payment.
    #[serde(with = "config::duration")]
    pub wait: Duration,
    /// How long an order waits for payment before it is rejected.
    #[serde(with = "config::duration")]
    pub patience: Duration,
}

impl Config {
    /// Loads the defaults, over them `file`, over both the environment.
    ///
    /// # Errors
    /// A key is unknown, missing or has a value that does not fit; the file cannot be read.
    pub fn load(file: Option<&Path>) -> Result<Loaded<Self>, Error> {
        config::load("order", DEFAULTS, file)
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
