//! The sections of a service's configuration that the chassis owns.

use std::time::Duration;

use config::duration::HOUR;
use http::Uri;
use serde::{Deserialize, Deserializer, de::Error as _};

/// What [`run`](crate::run) needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Section `http`.
    pub http: Listen,
    /// Section `grpc`.
    pub grpc: Listen,
    /// Section `admin`.
    pub admin: Listen,
    /// Section `shutdown`.
    pub shutdown: Shutdown,
    /// Section `limits`.
    pub limits: Limits,
    /// Section `cors`.
    pub cors: Cors,
}

/// Where a server listens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Address, such as `127.0.0.1` or `0.0.0.0`.
    pub host: String,
    /// Port; 0 picks a free one, which is logged.
    pub port: u16,
}

/// How a service stops.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    /// How long it goes on serving after it has become not ready, so that clients and load balancers turn away.
    #[serde(deserialize_with = "config::duration::within::<0, HOUR, _>")]
    pub lame_duck: Duration,
    /// How long all of it may take.
    #[serde(deserialize_with = "config::duration::within::<1, HOUR, _>")]
    pub deadline: Duration,
}

/// Beyond these a request is refused at once.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Open connections per server; for more, those go that have been idle for longest.
    #[serde(deserialize_with = "config::within::<1, 1_000_000, _, _>")]
    pub max_connections: usize,
    /// Requests being handled at once, HTTP and gRPC together; more are refused with 503 / `RESOURCE_EXHAUSTED`.
    #[serde(deserialize_with = "config::within::<1, 1_000_000, _, _>")]
    pub max_in_flight: usize,
    /// Longest handling of a request; less where its caller waits less.
    #[serde(deserialize_with = "config::duration::within::<1, HOUR, _>")]
    pub request_timeout: Duration,
    /// Proxies of our own that every request comes through, each of which appends to `X-Forwarded-For`. Of what stands
    /// before their entries nothing is believed.
    #[serde(deserialize_with = "config::within::<0, 16, _, _>")]
    pub trusted_proxies: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_connections: 1024, max_in_flight: 256, request_timeout: Duration::from_secs(10), trusted_proxies: 0 }
    }
}

/// Which web pages of other origins may call.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// Origins such as `https://shop.example.org`; empty: none.
    #[serde(deserialize_with = "origins")]
    pub origins: Vec<String>,
}

/// Reads origins as browsers send them: another text would allow nothing.
fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let origins = Vec::<String>::deserialize(deserializer)?;
    let is_origin = |text: &str| {
        let uri = text.parse::<Uri>().ok();
        let parts = uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.authority()?)));
        parts.is_some_and(|(scheme, authority)| format!("{scheme}://{authority}") == text)
    };
    match origins.iter().find(|text| !is_origin(text)) {
        Some(text) => Err(D::Error::custom(format!("`{text}` is no origin: write it like https://shop.example:8443"))),
        None => Ok(origins),
    }
}
