//! What can be configured; `config.default.toml` documents each key.

use std::{fmt, path::Path, time::Duration};

use config::{
    Error, Loaded, SecretFile,
    duration::{DAY, HOUR, SECOND},
};
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
    /// How mail is sent.
    pub mail: Mail,
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
    #[serde(deserialize_with = "config::duration::within::<1, { 30 * DAY }, _>")]
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
    #[serde(deserialize_with = "client::url")]
    pub url: String,
    /// How it is called.
    pub client: client::Config,
}

/// Section `tokens`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    #[serde(deserialize_with = "config::duration::within::<SECOND, { 30 * DAY }, _>")]
    access: Duration,
    #[serde(deserialize_with = "config::duration::within::<SECOND, { 3650 * DAY }, _>")]
    refresh: Duration,
    #[serde(deserialize_with = "config::duration::within::<SECOND, { 3650 * DAY }, _>")]
    rotate_every: Duration,
    #[serde(deserialize_with = "config::duration::within::<0, { 3650 * DAY }, _>")]
    publish_ahead: Duration,
    #[serde(deserialize_with = "config::duration::within::<0, { 3650 * DAY }, _>")]
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
    #[serde(deserialize_with = "config::within::<8, 4_194_304, _, _>")]
    memory_kib: u32,
    #[serde(deserialize_with = "config::within::<1, 10_000, _, _>")]
    passes: u32,
    #[serde(deserialize_with = "config::within::<1, 1_000, _, _>")]
    parallel: usize,
    #[serde(deserialize_with = "config::within::<0, 1_000_000, _, _>")]
    queue: usize,
}

impl From<&Passwords> for Cost {
    fn from(passwords: &Passwords) -> Self {
        let Passwords { memory_kib, passes, parallel, queue } = *passwords;
        Self { memory_kib, passes, parallel, queue }
    }
}

/// Section `mail`. Its `Debug` does not show the URL, which has the server's password.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// The URL of the server.
    pub url: String,
    /// The sender.
    pub from: String,
    /// Whether people are told by mail of what has happened.
    pub notifications: bool,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail")
            .field("from", &self.from)
            .field("notifications", &self.notifications)
            .finish_non_exhaustive()
    }
}

/// Section `closing`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closing {
    #[serde(deserialize_with = "config::duration::within::<0, HOUR, _>")]
    at_once: Duration,
    #[serde(deserialize_with = "config::duration::within::<1, DAY, _>")]
    backoff_min: Duration,
    #[serde(deserialize_with = "config::duration::within::<1, DAY, _>")]
    backoff_max: Duration,
    #[serde(deserialize_with = "config::duration::within::<1, DAY, _>")]
    poll: Duration,
}

impl From<&Closing> for ClosingPolicy {
    fn from(closing: &Closing) -> Self {
        let Closing { at_once, backoff_min, backoff_max, poll } = *closing;
        Self { inline_timeout: at_once, backoff_min, backoff_max, poll_interval: poll }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_without_a_meaning_are_refused_by_key_origin_and_range() {
        let folder = testkit::temp_dir();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "never shown\n").unwrap();
        let secret = ("TRIREME_SERVICE__CREDENTIAL_FILE".to_owned(), secret.to_str().unwrap().to_owned());
        for (variable, value, expected) in [
            ("LIMITS__MAX_CONNECTIONS", "0", "0 is out of range: from 1 to 1000000"),
            ("TOKENS__ACCESS", "999ms", "999ms is out of range: from 1s to 30d"),
            ("TOKENS__ROTATE_EVERY", "0s", "0s is out of range: from 1s to 3650d"),
            ("PASSWORDS__PARALLEL", "0", "0 is out of range: from 1 to 1000"),
            ("PASSWORDS__MEMORY_KIB", "7", "7 is out of range: from 8 to 4194304"),
            ("CLOSING__POLL", "0s", "0s is out of range: from 1ms to 1d"),
            ("CLOSING__BACKOFF_MIN", "0s", "0s is out of range: from 1ms to 1d"),
            ("CACHE__TTL", "0s", "0s is out of range: from 1ms to 30d"),
            ("ORDER__URL", "127.0.0.1:8081", "`127.0.0.1:8081` is no address"),
        ] {
            let key = variable.to_lowercase().replace("__", ".");
            let variable = format!("TRIREME_{variable}");
            let env = [secret.clone(), (variable.clone(), value.to_owned())];
            let error = config::load_from::<Config>("user", DEFAULTS, None, env).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("`{key}` (set by {variable}): ")) && error.contains(expected),
                "{error}"
            );
        }
        let url = ("TRIREME_MAIL__URL".to_owned(), "smtps://shop:hidden@mail.example".to_owned());
        let loaded = config::load_from::<Config>("user", DEFAULTS, None, [secret, url]).unwrap();
        assert!(!format!("{:?}", loaded.value).contains("hidden"));
    }
}
