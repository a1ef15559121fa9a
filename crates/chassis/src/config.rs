//! The sections of a service's configuration that the chassis owns.

use std::time::Duration;

use serde::Deserialize;

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
    #[serde(with = "config::duration")]
    pub lame_duck: Duration,
    /// How long all of it may take.
    #[serde(with = "config::duration")]
    pub deadline: Duration,
}

/// Beyond these a request is refused at once.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Open connections per server; more wait unaccepted.
    pub max_connections: usize,
    /// Requests being handled at once, HTTP and gRPC together; more are refused with 503 / `RESOURCE_EXHAUSTED`.
    pub max_in_flight: usize,
    /// Longest handling of a request; less where its caller waits less.
    #[serde(with = "config::duration")]
    pub request_timeout: Duration,
    /// Proxies of our own that every request comes through, each of which appends to `X-Forwarded-For`. Of what stands
    /// before their entries nothing is believed.
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
    pub origins: Vec<String>,
}
