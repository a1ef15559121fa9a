//! Permits that all replicas take of the same store, by its clock: see `limit` for the algorithm.

use std::{sync::LazyLock, time::Duration};

use async_trait::async_trait;
use limit::{Decision, Quota};

use crate::{Client, Error, Script};

static TAKE: LazyLock<Script> =
    LazyLock::new(|| Script::healing(&["string"], concat!(include_str!("number.lua"), include_str!("limit/take.lua"))));

/// A limiter on one server or on a cluster. Cheap to clone; connects when it is first used.
#[derive(Clone, Debug)]
pub struct Limiter(Client);

impl Limiter {
    /// Reads the URL.
    ///
    /// # Errors
    ///
    /// Returns [`Error::InvalidUrl`] with what to write instead.
    pub fn open(url: &str) -> Result<Self, Error> {
        Client::open(url).map(Self)
    }

    async fn run(&self, key: &str, quota: Quota, permits: i8) -> Result<u64, limit::Error> {
        let [refill, window] = [quota.refill, quota.window()].map(|time| time.as_millis().to_string());
        let args = [refill.as_bytes(), window.as_bytes(), &permits.to_string().into_bytes()];
        self.0.eval(&TAKE, &[&self.key(key)], &args).await.map_err(unavailable)
    }

    fn key(&self, key: &str) -> String {
        format!("{}:limit:{key}", self.0.prefix())
    }
}

fn unavailable(error: Error) -> limit::Error {
    limit::Error(error.into())
}

#[async_trait]
impl limit::Limiter for Limiter {
    async fn take(&self, key: &str, quota: Quota) -> Result<Decision, limit::Error> {
        Ok(match self.run(key, quota, 1).await? {
            0 => Decision::Allowed,
            ms => Decision::Refused { retry_after: Duration::from_millis(ms) },
        })
    }

    async fn give_back(&self, key: &str, quota: Quota) -> Result<(), limit::Error> {
        self.run(key, quota, -1).await.map(drop)
    }

    async fn reset(&self, key: &str) -> Result<(), limit::Error> {
        self.0.delete(&self.key(key)).await.map_err(unavailable)
    }
}
