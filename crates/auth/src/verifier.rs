//! Checking access tokens.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use clock::SharedClock;
use error::Error;
use jsonwebtoken::{Algorithm, Header, Validation};
use moka::sync::Cache;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::keys::KeyRing;
use crate::refused::{Refusal, refused};
use crate::{AUDIENCE, Claims, ISSUER, Identity, Issuer, Keys};

/// How many verified tokens are cached.
const CACHE_CAPACITY: u64 = 4096;
/// How long one is cached at most; it counts only until it expires.
const CACHE_TTL: Duration = Duration::from_mins(15);
/// The longest token that is read, in bytes: as much as gateways let through in one header. Keycloak writes every role into it.
const MAX_LENGTH: usize = 8192;

/// What is read of a token. Ours have no `nbf`, but whoever sets one means it.
#[derive(Deserialize)]
struct Presented {
    #[serde(flatten)]
    claims: Claims,
    nbf: Option<i64>,
}

/// Checks access tokens: by issuer, audience, key and time; our own are Ed25519 and nothing else.
///
/// Cheap to clone. A verified token is cached by its SHA-256 until it expires, so that the signature is
/// checked once.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    own: Trusted,
    outside: Option<(Issuer, Trusted)>,
    clock: SharedClock,
    verified: Cache<[u8; 32], Identity>,
}

/// What tokens of one issuer have to be.
struct Trusted {
    ring: Arc<KeyRing>,
    validation: Validation,
    types: &'static [&'static str],
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl Verifier {
    /// Makes a verifier that takes the keys from `keys` when it first needs one, on `tracker` and until `stop`.
    pub fn new(keys: Arc<dyn Keys>, clock: SharedClock, tracker: TaskTracker, stop: CancellationToken) -> Self {
        Self::trusting(None, keys, clock, tracker, stop)
    }

    /// Makes one for which tokens of an issuer outside count too, with its keys.
    pub fn trusting(
        outside: Option<(Issuer, Arc<dyn Keys>)>,
        keys: Arc<dyn Keys>,
        clock: SharedClock,
        tracker: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let outside = outside.map(|(issuer, keys)| {
            let ring = KeyRing::new(keys, clock.clone(), tracker.clone(), stop.clone());
            // RFC 9068 has a type of its own for access tokens, and Keycloak has not.
            let types = &["JWT", "at+jwt", "application/at+jwt"];
            let trusted = Trusted::new(ring, &issuer.issuer, &issuer.audience, types);
            (issuer, trusted)
        });
        let ring = KeyRing::new(keys, clock.clone(), tracker, stop);
        let own = Trusted::new(ring, ISSUER, AUDIENCE, &["JWT"]);
        let verified = Cache::builder().max_capacity(CACHE_CAPACITY).time_to_live(CACHE_TTL).build();
        Self(Arc::new(Inner { own, outside, clock, verified }))
    }

    /// Returns who shows this token.
    ///
    /// # Errors
    ///
    /// [`TokenInvalid`](error::Problem::TokenInvalid) or [`TokenExpired`](error::Problem::TokenExpired), and
    /// [`Unavailable`](error::Problem::Unavailable) when that cannot be found out
    /// because the issuer's keys cannot be fetched.
    pub async fn verify(&self, token: &str) -> Result<Identity, Error> {
        if token.len() > MAX_LENGTH {
            return Err(refused(Refusal::TooLong));
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

impl Trusted {
    fn new(ring: Arc<KeyRing>, issuer: &str, audience: &str, types: &'static [&'static str]) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // The time is ours to check, by the clock that was passed in.
        validation.validate_exp = false;
        Self { ring, validation, types }
    }

    /// The claims of a token with the right signature, issuer and audience.
    async fn claims<T: DeserializeOwned>(&self, token: &str, header: Header) -> Result<T, Error> {
        // Tokens of other kinds, signed with the same key, are not for us.
        let is_ours = |typ: &str| self.types.iter().any(|known| known.eq_ignore_ascii_case(typ));
        if !header.typ.as_deref().is_some_and(is_ours) {
            return Err(refused(Refusal::OtherType));
        }
        let kid = header.kid.ok_or_else(|| refused(Refusal::NoKey))?;
        let key = self.ring.find(&kid).await?.ok_or_else(|| refused(Refusal::UnknownKey))?;
        if key.algorithm != header.alg {
            return Err(refused(Refusal::OtherAlgorithm));
        }
        let mut validation = self.validation.clone();
        validation.algorithms = vec![key.algorithm];
        let decoded = jsonwebtoken::decode(token, &key.decoding, &validation);
        Ok(decoded.map_err(|cause| refused(Refusal::Invalid).with_source(cause))?.claims)
    }
}

/// Who says that they have issued a token.
#[derive(Deserialize)]
struct Issued {
    iss: String,
}

impl Inner {
    async fn check(&self, token: &str) -> Result<Identity, Error> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| refused(Refusal::Unreadable))?;
        // Only to know whose keys to ask: what it says is verified afterwards.
        let named = jsonwebtoken::dangerous::insecure_decode_claims::<Issued>(token);
        match &self.outside {
            Some((issuer, trusted)) if named.is_ok_and(|named| named.iss == issuer.issuer) => {
                issuer.identity(&trusted.claims(token, header).await?, self.clock.now().unix_timestamp())
            }
            _ => self.check_own(token, header).await,
        }
    }

    async fn check_own(&self, token: &str, header: Header) -> Result<Identity, Error> {
        if header.alg != Algorithm::EdDSA {
            return Err(refused(Refusal::OtherAlgorithm));
        }
        let Presented { claims, nbf } = self.own.claims(token, header).await?;
        if nbf.is_some_and(|nbf| self.clock.now().unix_timestamp() < nbf) {
            return Err(refused(Refusal::NotYet));
        }
        let expires_at = OffsetDateTime::from_unix_timestamp(claims.exp).map_err(|_| refused(Refusal::NoExpiry))?;
        Ok(Identity { user_id: claims.sub, role: claims.role, session: claims.sid, expires_at })
    }

    fn unexpired(&self, identity: Identity) -> Result<Identity, Error> {
        if self.clock.now() < identity.expires_at { Ok(identity) } else { Err(refused(Refusal::Expired)) }
    }
}

fn fingerprint(token: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    bytes
}
