//! The issuer's public keys, and the cache of them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use clock::SharedClock;
use error::Error;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use resilience::Outage;
use time::OffsetDateTime;
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Unknown key ids make us fetch the keys at most this often, so that forged tokens cannot flood the issuer.
const FETCH_EVERY: Duration = Duration::from_secs(10);
/// After a failed fetch, tokens with an unknown key are refused at once for this long.
const FAILURE_TTL: Duration = Duration::from_secs(1);
/// Keys older than this are fetched again, so that a withdrawn one stops counting.
const MAX_AGE: Duration = Duration::from_mins(10);
/// How long the issuer may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// How many requests with an unknown key may wait for a fetch once there are keys: nearly all such are forged, and while the
/// issuer is slow they must not take the places of others.
const MAX_WAITING: usize = 32;
/// More keys than any issuer publishes.
const MAX_KEYS: usize = 64;

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

/// A published key, and the one algorithm that it is used with: whoever shows a token does not choose.
pub(crate) struct Key {
    pub(crate) decoding: DecodingKey,
    pub(crate) algorithm: Algorithm,
}

/// The keys of the last fetch, by id.
#[derive(Default)]
struct Fetched {
    keys: HashMap<String, Arc<Key>>,
    at: Option<OffsetDateTime>,
}

/// When the last fetch failed, if it did.
type Failed = Option<OffsetDateTime>;

/// Caches the keys and fetches them again when it has to, one fetch at a time.
///
/// A fetch is a task of its own, and what comes of it is everybody's: it runs on when the one who began it has gone away,
/// and neither the deadline nor the trace of a request reaches it.
pub(crate) struct KeyRing {
    source: Arc<dyn Keys>,
    clock: SharedClock,
    tracker: TaskTracker,
    stop: CancellationToken,
    cached: RwLock<Arc<Fetched>>,
    /// Held during a fetch.
    fetching: Arc<Mutex<Failed>>,
    outage: Outage,
    waiting: Semaphore,
}

impl KeyRing {
    pub(crate) fn new(
        source: Arc<dyn Keys>,
        clock: SharedClock,
        tracker: TaskTracker,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let (cached, fetching, outage) = (RwLock::default(), Arc::default(), Outage::default());
        let waiting = Semaphore::new(MAX_WAITING);
        Arc::new(Self { source, clock, tracker, stop, cached, fetching, outage, waiting })
    }

    /// Returns the key with this id, or nothing when the issuer does not publish one.
    pub(crate) async fn find(self: &Arc<Self>, kid: &str) -> Result<Option<Arc<Key>>, Error> {
        let fetched = self.cached();
        if let Some(key) = fetched.keys.get(kid) {
            if !self.is_within(fetched.at, MAX_AGE)
                && let Ok(guard) = Arc::clone(&self.fetching).try_lock_owned()
                && self.fetch(guard).await.is_ok()
            {
                return Ok(self.cached().keys.get(kid).cloned());
            }
            return Ok(Some(Arc::clone(key)));
        }
        // Before the first fetch everybody waits, because nobody can be told from a stranger.
        let _place = match fetched.at {
            Some(_) => Some(self.waiting.try_acquire().map_err(|_| unavailable())?),
            None => None,
        };
        let guard = Arc::clone(&self.fetching).lock_owned().await;
        let fetched = self.cached();
        if let Some(key) = fetched.keys.get(kid) {
            return Ok(Some(Arc::clone(key)));
        }
        if self.is_within(fetched.at, FETCH_EVERY) {
            return Ok(None);
        }
        self.fetch(guard).await?;
        Ok(self.cached().keys.get(kid).cloned())
    }

    async fn fetch(self: &Arc<Self>, failed: OwnedMutexGuard<Failed>) -> Result<(), Error> {
        if self.is_within(*failed, FAILURE_TTL) {
            return Err(unavailable());
        }
        let ring = Arc::clone(self);
        let fetched = self.tracker.spawn(async move {
            // At the end of the process nobody waits for keys any more.
            ring.stop.run_until_cancelled(ring.fetch_into(failed)).await
        });
        fetched.await.ok().flatten().unwrap_or_else(|| Err(unavailable()))
    }

    async fn fetch_into(&self, mut failed: OwnedMutexGuard<Failed>) -> Result<(), Error> {
        let result = tokio::time::timeout(FETCH_TIMEOUT, self.source.jwks()).await;
        let cause = match result {
            Ok(Ok(set)) => {
                let keys = set.keys.iter().filter_map(usable).take(MAX_KEYS).collect();
                let fetched = Fetched { keys, at: Some(self.clock.now()) };
                *self.cached.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fetched);
                *failed = None;
                if let Some(failures) = self.outage.ended() {
                    tracing::info!(failures, "the keys of access tokens can be fetched again");
                }
                return Ok(());
            }
            Ok(Err(error)) => error.chain(),
            Err(elapsed) => elapsed.to_string(),
        };
        *failed = Some(self.clock.now());
        if let Some(failures) = self.outage.failed() {
            tracing::warn!(cause, failures, "the keys of access tokens cannot be fetched");
        }
        Err(unavailable())
    }

    fn cached(&self) -> Arc<Fetched> {
        Arc::clone(&self.cached.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_within(&self, since: Option<OffsetDateTime>, span: Duration) -> bool {
        // What a clock wrote down that was ahead is no reason to wait until it is reached.
        since.is_some_and(|since| (since..since + span).contains(&self.clock.now()))
    }
}

fn unavailable() -> Error {
    Error::unavailable("the check of access tokens")
}

/// Returns the key when it has an id and is for signatures of a kind that we verify; others are not for us.
fn usable(jwk: &Jwk) -> Option<(String, Arc<Key>)> {
    let common = &jwk.common;
    if matches!(common.public_key_use, Some(PublicKeyUse::Encryption)) {
        return None;
    }
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        _ => return None,
    };
    if common.key_algorithm.is_some_and(|named| named.to_string().parse().ok() != Some(algorithm)) {
        return None;
    }
    let decoding = DecodingKey::from_jwk(jwk).ok()?;
    Some((common.key_id.clone()?, Arc::new(Key { decoding, algorithm })))
}
