//! What can be configured; `config.default.toml` documents each key.

use std::path::Path;

use config::{Error, Loaded, SecretFile};
use serde::Deserialize;

/// Every key with its default.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The whole configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where payments and ledger are kept.
    pub database: Database,
    /// Where events go and come from.
    pub bus: messaging::Config,
    /// Where locks are taken.
    pub lock: Address,
    /// Who moves the money.
    pub provider: Address,
    /// How services know each other.
    pub service: Service,
    /// How the provider's webhooks are known.
    pub webhook: Webhook,
    /// Where HTTP is served.
    pub http: chassis::Listen,
    /// Where gRPC is served.
    pub grpc: chassis::Listen,
    /// Where health and metrics are served.
    pub admin: chassis::Listen,
    /// How much at once.
    pub limits: chassis::Limits,
    /// Whose pages may call.
    pub cors: chassis::Cors,
    /// How the process ends.
    pub shutdown: chassis::Shutdown,
    /// What is logged.
    pub telemetry: telemetry::Config,
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

/// Where a backing service is; the scheme picks the adapter.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Its URL.
    pub url: String,
}

/// Section `service`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The secret that the services share.
    pub credential_file: SecretFile,
}

/// Section `webhook`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// The secret that is shared with the provider.
    pub secret_file: SecretFile,
}

impl Config {
    /// Loads the defaults, over them `file`, over both the environment.
    ///
    /// # Errors
    /// A key is unknown, missing or has a value that does not fit; the file cannot be read.
    pub fn load(file: Option<&Path>) -> Result<Loaded<Self>, Error> {
        config::load("payment", DEFAULTS, file)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn load_with(env: &[(&str, &str)]) -> Result<Loaded<Config>, Error> {
        let folder = testkit::temp_dir();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "never shown\n").unwrap();
        let secret = secret.to_str().unwrap();
        let secrets = [("TRIREME_SERVICE__CREDENTIAL_FILE", secret), ("TRIREME_WEBHOOK__SECRET_FILE", secret)];
        let env = secrets.iter().chain(env).map(|(key, value)| ((*key).into(), (*value).into()));
        config::load_from("payment", DEFAULTS, None, env)
    }

    #[test]
    fn the_defaults_are_complete() {
        let loaded = load_with(&[("TRIREME_LIMITS__REQUEST_TIMEOUT", "3s")]).unwrap();
        assert_eq!(loaded.value.database.url, "sqlite://.trireme/payment.db");
        assert_eq!(loaded.value.limits.request_timeout.as_secs(), 3);
        let mut shown = Vec::new();
        loaded.print(&mut shown, false).unwrap();
        assert!(!String::from_utf8(shown).unwrap().contains("never shown"));
    }

    #[test]
    fn a_password_in_the_providers_url_is_not_shown() {
        let url = "sandbox+postgres://payment:never-shown@db/payment?sslmode=verify-full";
        let loaded = load_with(&[("TRIREME_PROVIDER__URL", url)]).unwrap();
        assert_eq!(loaded.value.provider.url, url);
        let mut shown = Vec::new();
        loaded.print(&mut shown, false).unwrap();
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.contains("sandbox+postgres://payment:") && !shown.contains("never-shown"), "{shown}");
    }

    #[test]
    fn values_without_a_meaning_are_refused_by_key_origin_and_range() {
        for (variable, value, expected) in [
            ("LIMITS__MAX_CONNECTIONS", "0", "0 is out of range: from 1 to 1000000"),
            ("LIMITS__MAX_CONNECTIONS", "9223372036854775807", "is out of range: from 1 to 1000000"),
            ("LIMITS__MAX_IN_FLIGHT", "0", "0 is out of range: from 1 to 1000000"),
            ("LIMITS__MAX_IN_FLIGHT", "2305843009213693952", "is out of range: from 1 to 1000000"),
            ("LIMITS__REQUEST_TIMEOUT", "0s", "0s is out of range: from 1ms to 1h"),
            ("SHUTDOWN__DEADLINE", "0s", "0s is out of range: from 1ms to 1h"),
            ("SHUTDOWN__LAME_DUCK", "2h", "2h is out of range: from 0s to 1h"),
            ("HTTP__PORT", "65536", "65536"),
            ("CORS__ORIGINS", "[\"*\"]", "`*` is no origin"),
            ("CORS__ORIGINS", "[\"https://shop.example/\"]", "`https://shop.example/` is no origin"),
        ] {
            let variable = format!("TRIREME_{variable}");
            let key = variable["TRIREME_".len()..].to_lowercase().replace("__", ".");
            let error = load_with(&[(&variable, value)]).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("`{key}` (set by {variable}): ")) && error.contains(expected),
                "{error}"
            );
        }
        load_with(&[("TRIREME_CORS__ORIGINS", "[\"https://shop.example\", \"http://localhost:3000\"]")]).unwrap();
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = load_with(&[("TRIREME_DATABASE__URI", "x")]).unwrap_err();
        assert!(error.to_string().contains("uri"), "{error}");
    }
}
