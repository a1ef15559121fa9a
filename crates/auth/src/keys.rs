//! The issuer's public keys, and the memory of them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use clock::SharedClock;
use error::Error;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use time::OffsetDateTime;
use tokio::sync::{Mutex, MutexGuard};

/// An unknown key id makes us ask the issuer at most this often, so that forged tokens cannot flood it.
const ASK_EVERY: Duration = Duration::from_secs(10);
/// After the issuer could not be reached, callers are refused at once for this long.
const FAILURE_LASTS: Duration = Duration::from_secs(1);
/// Keys older than this are asked for again, so that a withdrawn one stops counting.
const MAX_AGE: Duration = Duration::from_mins(10);
/// How long the issuer may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the issuer's public keys come from.
#[async_trait]
pub trait Keys: Send + Sync {
    /// Returns the keys that are published now.
    ///
    /// # Errors
    ///
    /// When they cannot be had.
    async fn jwks(&self) -> Result<JwkSet, Error>;
}

/// Keys that never change.
#[async_trait]
impl Keys for JwkSet {
    async fn jwks(&self) -> Result<JwkSet, Error> {
        Ok(self.clone())
    }
}

/// The keys last seen, by id.
#[derive(Default)]
struct Seen {
    keys: HashMap<String, Arc<DecodingKey>>,
    at: Option<OffsetDateTime>,
}

/// Remembers the keys and asks again when it has to, one question at a time.
pub(crate) struct KeyRing {
    source: Arc<dyn Keys>,
    clock: SharedClock,
    seen: RwLock<Arc<Seen>>,
    /// Held while the issuer is asked; says when that failed last.
    asking: Mutex<Option<OffsetDateTime>>,
}

impl KeyRing {
    pub(crate) fn new(source: Arc<dyn Keys>, clock: SharedClock) -> Self {
        Self { source, clock, seen: RwLock::default(), asking: Mutex::default() }
    }

    /// Returns the key with this id, or nothing when the issuer does not publish one.
    pub(crate) async fn find(&self, kid: &str) -> Result<Option<Arc<DecodingKey>>, Error> {
        let seen = self.seen();
        if let Some(key) = seen.keys.get(kid) {
            if !self.is_within(seen.at, MAX_AGE)
                && let Ok(asking) = self.asking.try_lock()
                && self.ask(asking).await.is_ok()
            {
                return Ok(self.seen().keys.get(kid).cloned());
            }
            return Ok(Some(Arc::clone(key)));
        }
        let asking = self.asking.lock().await;
        let seen = self.seen();
        if let Some(key) = seen.keys.get(kid) {
            return Ok(Some(Arc::clone(key)));
        }
        if self.is_within(seen.at, ASK_EVERY) {
            return Ok(None);
        }
        self.ask(asking).await?;
        Ok(self.seen().keys.get(kid).cloned())
    }

    async fn ask(&self, mut failed: MutexGuard<'_, Option<OffsetDateTime>>) -> Result<(), Error> {
        if self.is_within(*failed, FAILURE_LASTS) {
            return Err(unavailable());
        }
        let answer = tokio::time::timeout(FETCH_TIMEOUT, self.source.jwks()).await;
        let cause = match answer {
            Ok(Ok(set)) => {
                let seen = Seen { keys: set.keys.iter().filter_map(usable).collect(), at: Some(self.clock.now()) };
                *self.seen.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(seen);
                *failed = None;
                return Ok(());
            }
            Ok(Err(error)) => error.chain(),
            Err(elapsed) => elapsed.to_string(),
        };
        *failed = Some(self.clock.now());
        tracing::warn!(cause, "the keys of access tokens cannot be fetched");
        Err(unavailable())
    }

    fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_within(&self, since: Option<OffsetDateTime>, span: Duration) -> bool {
        since.is_some_and(|since| self.clock.now() - since < span)
    }
}

fn unavailable() -> Error {
    Error::unavailable("the check of access tokens")
}

/// Returns the key when it is an Ed25519 key with an id; others are not for us.
fn usable(jwk: &Jwk) -> Option<(String, Arc<DecodingKey>)> {
    let AlgorithmParameters::OctetKeyPair(parameters) = &jwk.algorithm else {
        return None;
    };
    if parameters.curve != EllipticCurve::Ed25519 {
        return None;
    }
    let kid = jwk.common.key_id.clone()?;
    let key = DecodingKey::from_ed_components(&parameters.x).ok()?;
    Some((kid, Arc::new(key)))
}
