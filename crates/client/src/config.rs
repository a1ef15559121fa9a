//! The configuration of a client.

use std::time::Duration;

use resilience::BreakerConfig;
use serde::Deserialize;

/// How to call one other service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Longest wait for a connection.
    #[serde(with = "config::duration")]
    pub connect_timeout: Duration,
    /// Longest wait for a response, retries included; less when the request being served has less left.
    #[serde(with = "config::duration")]
    pub timeout: Duration,
    /// Most repetitions of one idempotent call.
    pub retries: u32,
    /// Repetitions allowed per call made, on average (0.2: one in five).
    pub retry_budget: f64,
    /// When to stop calling a callee that fails.
    pub breaker: Breaker,
}

/// When the breaker opens and how long it stays open.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// How many of the latest calls count.
    pub window: usize,
    /// The fraction of them, 0 to 1, that has to fail.
    pub failure_rate: f64,
    /// First pause; doubled by each failed probe.
    #[serde(with = "config::duration")]
    pub open: Duration,
    /// Longest pause.
    #[serde(with = "config::duration")]
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
