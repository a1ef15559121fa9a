//! Checking access tokens.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use clock::SharedClock;
use error::{Error, Problem};
use jsonwebtoken::{Algorithm, Validation};
use moka::sync::Cache;
use serde::Deserialize;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::keys::KeyRing;
use crate::{AUDIENCE, Claims, ISSUER, Identity, Keys};

/// How many verified tokens are cached.
const CACHE_CAPACITY: u64 = 4096;
/// How long one is cached at most; it counts only until it expires.
const CACHE_TTL: Duration = Duration::from_mins(15);
/// The longest token that is read, in bytes.
const MAX_LENGTH: usize = 4096;

/// What is read of a token. Ours have no `nbf`, but whoever sets one means it.
#[derive(Deserialize)]
struct Presented {
    #[serde(flatten)]
    claims: Claims,
    nbf: Option<i64>,
}

/// Checks access tokens: Ed25519 only, by issuer, audience, key and time.
///
/// Cheap to clone. A verified token is cached by its SHA-256 until it expires, so that the signature is
/// checked once.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    ring: Arc<KeyRing>,
    clock: SharedClock,
    validation: Validation,
    verified: Cache<[u8; 32], Identity>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl Verifier {
    /// Makes a verifier that takes the keys from `keys` when it first needs one, on `tracker` and until `stop`.
    pub fn new(keys: Arc<dyn Keys>, clock: SharedClock, tracker: TaskTracker, stop: CancellationToken) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // The time is ours to check, by the clock that was passed in.
        validation.validate_exp = false;
        let verified = Cache::builder().max_capacity(CACHE_CAPACITY).time_to_live(CACHE_TTL).build();
        let ring = KeyRing::new(keys, clock.clone(), tracker, stop);
        Self(Arc::new(Inner { ring, clock, validation, verified }))
    }

    /// Returns who shows this token.
    ///
    /// # Errors
    ///
    /// [`Problem::TokenInvalid`] or [`Problem::TokenExpired`], and [`Problem::Unavailable`] when that cannot be found out
    /// because the issuer's keys cannot be fetched.
    pub async fn verify(&self, token: &str) -> Result<Identity, Error> {
        if token.len() > MAX_LENGTH {
            return Err(refused("is too long"));
        }
        let fingerprint = fingerprint(token);
        if let Some(identity) = self.0.verified.get(&fingerprint) {
            return self.0.unexpired(identity);
        }
        let identity = self.0.unexpired(self.0.check(token).await?)?;
        self.0.verified.insert(fingerprint, identity.clone());
        Ok(identity)
    }
}

impl Inner {
    async fn check(&self, token: &str) -> Result<Identity, Error> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| refused("cannot be read"))?;
        if header.alg != Algorithm::EdDSA {
            return Err(refused("is not signed the right way"));
        }
        // Tokens of other kinds, signed with the same key, are not for us.
        if header.typ.as_deref() != Some("JWT") {
            return Err(refused("is of another type"));
        }
        let kid = header.kid.ok_or_else(|| refused("names no key"))?;
        let key = self.ring.find(&kid).await?;
        let key = key.ok_or_else(|| refused("is signed with an unknown key"))?;
        let Presented { claims, nbf } = jsonwebtoken::decode(token, &key, &self.validation)
            .map_err(|cause| refused("is not valid").with_source(cause))?
            .claims;
        if nbf.is_some_and(|nbf| self.clock.now().unix_timestamp() < nbf) {
            return Err(refused("does not count yet"));
        }
        let expires_at =
            OffsetDateTime::from_unix_timestamp(claims.exp).map_err(|_| refused("has no usable expiry"))?;
        Ok(Identity { user_id: claims.sub, role: claims.role, session: claims.sid, expires_at })
    }

    fn unexpired(&self, identity: Identity) -> Result<Identity, Error> {
        if self.clock.now() < identity.expires_at {
            Ok(identity)
        } else {
            Err(Error::new(Problem::TokenExpired, "the access token has expired"))
        }
    }
}

fn refused(why: &'static str) -> Error {
    Error::new(Problem::TokenInvalid, format!("the access token {why}"))
}

fn fingerprint(token: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    bytes
}
