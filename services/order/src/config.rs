//! What can be configured; `config.default.toml` documents each key.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use config::{
    Error, Loaded, SecretFile,
    duration::{DAY, SECOND},
};
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
    /// Where products and orders are searched.
    pub search: Search,
    /// How access tokens are checked.
    pub auth: Auth,
    /// The payment service.
    pub payment: Callee,
    /// The user service.
    pub user: Callee,
    /// The GraphQL interface.
    pub graphql: Graphql,
    /// How long orders wait for payment.
    pub orders: Orders,
    /// Who may watch orders.
    pub streams: Streams,
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

/// Where products and orders are searched.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// The search server's URL; empty where the store itself searches.
    pub url: String,
    /// How it is called.
    pub client: client::Config,
}

/// How access tokens are checked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Where the user service publishes its keys.
    #[serde(deserialize_with = "client::url")]
    pub jwks_url: String,
    /// Another issuer.
    pub outside: Outside,
}

/// An issuer of access tokens outside of this system.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outside {
    issuer: String,
    audience: String,
    /// Where it publishes its keys.
    #[serde(deserialize_with = "client::outside_url")]
    pub jwks_url: String,
    role_claim: String,
}

impl Outside {
    /// The issuer, if there is one.
    ///
    /// # Errors
    /// It has no audience or no address of its keys, or says that it is the user service.
    pub fn issuer(&self) -> Result<Option<auth::Issuer>, &'static str> {
        if self.issuer.is_empty() {
            return Ok(None);
        }
        if self.issuer == auth::ISSUER {
            return Err("auth.outside: this issuer is the user service, whose tokens count as they are");
        }
        if self.audience.is_empty() || self.jwks_url.is_empty() {
            return Err("auth.outside: an issuer needs an audience and a jwks_url");
        }
        let (issuer, audience) = (self.issuer.clone(), self.audience.clone());
        Ok(Some(auth::Issuer { issuer, audience, role_claim: self.role_claim.clone() }))
    }
}

/// The GraphQL interface.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graphql {
    /// Whether clients may read the schema.
    pub introspection: bool,
    /// A file with the documents that are executed; empty for all.
    pub safelist: PathBuf,
}

/// A service that this one calls.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Callee {
    /// Its gRPC address.
    #[serde(deserialize_with = "client::url")]
    pub url: String,
    /// How it is called.
    pub client: client::Config,
}

/// How long orders wait for payment.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orders {
    /// How long a request waits for payment, and the sweeper for the request: less than [`clock::HORIZON`], beyond which
    /// what is due counts as stored under a wrong clock.
    #[serde(rename = "wait", deserialize_with = "config::duration::within::<0, { 30 * SECOND }, _>")]
    pub payment_wait: Duration,
    /// How long an order waits for payment before it is abandoned, and then rejected.
    #[serde(rename = "patience", deserialize_with = "config::duration::within::<SECOND, { 365 * DAY }, _>")]
    pub pending: Duration,
}

/// Who may watch orders.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Streams {
    /// Streams at once.
    #[serde(deserialize_with = "config::within::<1, 1_000_000, _, _>")]
    pub max_open: usize,
    /// Of those, streams of one account.
    #[serde(deserialize_with = "config::within::<1, 1_000_000, _, _>")]
    pub max_per_account: usize,
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
            ("LIMITS__MAX_IN_FLIGHT", "0", "0 is out of range: from 1 to 1000000"),
            ("ORDERS__PATIENCE", "0s", "0s is out of range: from 1s to 365d"),
            ("ORDERS__WAIT", "1m", "1m is out of range: from 0s to 30s"),
            ("PAYMENT__CLIENT__TIMEOUT", "0s", "0s is out of range: from 1ms to 1h"),
            ("PAYMENT__CLIENT__RETRY_BUDGET", "2.0", "2 is out of range: from 0 to 1"),
            ("PAYMENT__CLIENT__BREAKER__WINDOW", "0", "0 is out of range: from 1 to 10000"),
            ("PAYMENT__URL", "payment:9090", "`payment:9090` is no address"),
            ("AUTH__OUTSIDE__JWKS_URL", "keys", "`keys` is no address"),
            ("AUTH__JWKS_URL", "https://user/keys", "`https://user/keys` is no address"),
        ] {
            let key = variable.to_lowercase().replace("__", ".");
            let variable = format!("TRIREME_{variable}");
            let env = [secret.clone(), (variable.clone(), value.to_owned())];
            let error = config::load_from::<Config>("order", DEFAULTS, None, env).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("`{key}` (set by {variable}): ")) && error.contains(expected),
                "{error}"
            );
        }
        let load = |env: &[(&str, &str)]| {
            let env = env.iter().map(|(key, value)| (format!("TRIREME_AUTH__OUTSIDE__{key}"), (*value).to_owned()));
            let loaded = config::load_from::<Config>("order", DEFAULTS, None, env.chain([secret.clone()]));
            loaded.unwrap().value.auth.outside.issuer()
        };
        assert!(matches!(load(&[]), Ok(None)));
        assert!(load(&[("ISSUER", "https://id.example"), ("AUDIENCE", "shop")]).is_err());
        assert!(load(&[("ISSUER", "https://id.example"), ("JWKS_URL", "https://id.example/keys")]).is_err());
        let whole = |issuer| load(&[("ISSUER", issuer), ("AUDIENCE", "shop"), ("JWKS_URL", "https://id.example/keys")]);
        assert!(matches!(whole("https://id.example"), Ok(Some(_))));
        assert!(whole(auth::ISSUER).is_err());
    }
}
