//! The configuration of a client.

use std::time::Duration;

use ::http::Uri;
use config::duration::HOUR;
use resilience::BreakerConfig;
use serde::{Deserialize, Deserializer, de::Error as _};

/// How to call one other service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Longest wait for a connection.
    #[serde(deserialize_with = "config::duration::within::<1, HOUR, _>")]
    pub connect_timeout: Duration,
    /// Longest wait for a response, retries included; less when the request being served has less left.
    #[serde(deserialize_with = "config::duration::within::<1, HOUR, _>")]
    pub timeout: Duration,
    /// Most repetitions of one idempotent call.
    #[serde(deserialize_with = "config::within::<0, 100, _, _>")]
    pub retries: u32,
    /// Repetitions allowed per call made, on average (0.2: one in five).
    #[serde(deserialize_with = "config::fraction::<0, 100, _>")]
    pub retry_budget: f64,
    /// When to stop calling a callee that fails.
    pub breaker: Breaker,
}

/// When the breaker opens and how long it stays open.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// How many of the latest calls count.
    #[serde(deserialize_with = "config::within::<1, 10_000, _, _>")]
    pub window: usize,
    /// The fraction of them, 0.01 to 1, that has to fail.
    #[serde(deserialize_with = "config::fraction::<1, 100, _>")]
    pub failure_rate: f64,
    /// First pause; doubled by each failed probe.
    #[serde(deserialize_with = "config::duration::within::<1, HOUR, _>")]
    pub open: Duration,
    /// Longest pause.
    #[serde(deserialize_with = "config::duration::within::<1, HOUR, _>")]
    pub open_max: Duration,
}

impl From<&Breaker> for BreakerConfig {
    fn from(breaker: &Breaker) -> Self {
        let Breaker { window, failure_rate, open, open_max } = *breaker;
        // A caller who goes away says nothing about the callee.
        Self { window, failure_rate, open, open_max, abandoned_after: None }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_millis(500),
            timeout: Duration::from_secs(3),
            retries: 3,
            retry_budget: 0.2,
            breaker: Breaker::default(),
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self { window: 20, failure_rate: 0.5, open: Duration::from_secs(1), open_max: Duration::from_secs(30) }
    }
}

/// Reads an address outside, encrypted or not, or that there is none: `#[serde(deserialize_with = "client::outside_url")]`.
///
/// # Errors
///
/// It is neither empty nor of the form `https://host:port/path`.
pub fn outside_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let known = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    if text.is_empty() || text.parse().is_ok_and(|uri| known(&uri)) {
        Ok(text)
    } else {
        Err(D::Error::custom(format!("`{text}` is no address: write it like https://host/path")))
    }
}

/// Reads the address of another service: `#[serde(deserialize_with = "client::url")]`.
///
/// # Errors
///
/// It is not of the form `http://host:port/path`.
pub fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let uri = text.parse::<Uri>().ok().filter(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
    let good = uri.is_some_and(|uri| uri.query().is_none());
    if good {
        Ok(text)
    } else {
        Err(D::Error::custom(format!("`{text}` is no address: write it like http://host:8080")))
    }
}
