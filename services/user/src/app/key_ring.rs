//! The keys that sign access tokens, and their rotation.
//!
//! Several processes share a store of keys and none of them leads. That is safe because nothing here has to happen at
//! the same moment everywhere: which key signs follows from the stored times alone, a key is published long before its
//! first use, and the store lets a key have only one successor.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use auth::{Claims, JwkSet, Keys, Signer};
use clock::SharedClock;
use semconv::metrics::USER_SIGNING_KEY_REMAINING;
use time::OffsetDateTime;

use super::{
    Error,
    ports::{AuditEntry, SigningKeys, StoredKey},
    unreadable,
};
use crate::domain::{OperatorAction, Rotation, Schedule, key_rotation::ON_DEMAND_AHEAD};

#[derive(Default)]
struct Keyset {
    used_from: Vec<OffsetDateTime>,
    signers: Vec<Signer>,
}

/// The known keys, oldest first.
pub struct KeyRing {
    store: Arc<dyn SigningKeys>,
    clock: SharedClock,
    rotation: Rotation,
    // Replaced as a whole, so that who signs or publishes meanwhile sees the old set or the new one, never a mixture.
    known: Arc<RwLock<Arc<Keyset>>>,
}

impl KeyRing {
    /// Reads the keys and makes the first one if there is none.
    ///
    /// # Errors
    /// The store fails.
    pub async fn open(store: Arc<dyn SigningKeys>, clock: SharedClock, rotation: Rotation) -> Result<Self, Error> {
        let ring = Self { store, clock, rotation, known: Arc::default() };
        ring.rotate().await?;
        ring.observe();
        Ok(ring)
    }

    /// Shows how much time is left, which falls on where keys can no longer be rotated.
    fn observe(&self) {
        let (known, clock, every) = (Arc::downgrade(&self.known), Arc::clone(&self.clock), self.rotation.every);
        USER_SIGNING_KEY_REMAINING.observe(move |observer| {
            let Some(known) = known.upgrade() else { return };
            let youngest = known.read().unwrap_or_else(PoisonError::into_inner).used_from.last().copied();
            if let Some(youngest) = youngest {
                observer.observe((youngest + every - clock.now()).as_seconds_f64(), &[]);
            }
        });
    }

    /// Reads the keys, makes the next one when it is due, deletes those that nobody needs. A key that cannot be read counts for
    /// nothing: those before and after it sign.
    ///
    /// # Errors
    /// The store fails. The keys that were known before go on signing.
    pub async fn rotate(&self) -> Result<(), Error> {
        let now = self.clock.now();
        let mut stored = self.store.all().await?;
        let mut keys = readable(&stored);
        if let Some(used_from) = Schedule::new(&starts(&keys), self.rotation).successor(now) {
            self.store.add(&generate(youngest(&stored), used_from)?, None).await?;
            // Read again instead of added here: another process may have been first, and then its key is the successor
            // and ours was not stored.
            stored = self.store.all().await?;
            keys = readable(&stored);
        }
        let retired = Schedule::new(&starts(&keys), self.rotation).retired(now);
        // Several processes may delete the same key. The youngest is never among them, so the store is never empty again
        // and no second first key is made.
        for (key, _) in keys.drain(..retired) {
            self.store.remove(&key.kid).await?;
        }
        let used_from = starts(&keys);
        let keyset = Keyset { used_from, signers: keys.into_iter().map(|(_, signer)| signer).collect() };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keyset);
        Ok(())
    }

    /// Has the next key take over soon: a new one, or that which is published already and waits for its turn. Asked for again
    /// meanwhile, it changes nothing. Says when.
    ///
    /// # Errors
    /// The store fails.
    pub async fn rotate_on_demand(&self) -> Result<OffsetDateTime, Error> {
        let now = self.clock.now();
        let (takeover, entry) = (now + ON_DEMAND_AHEAD, AuditEntry::new(OperatorAction::RotateKeys, now));
        let stored = self.store.all().await?;
        match readable(&stored).last() {
            Some((waiting, _)) if waiting.used_from > now => {
                self.store.expedite(&waiting.kid, takeover, &entry).await?;
            }
            _ => self.store.add(&generate(youngest(&stored), takeover)?, Some(&entry)).await?,
        }
        // Read: another process may have been first.
        self.rotate().await?;
        Ok(self.known().used_from.last().copied().unwrap_or(takeover))
    }

    /// Signs claims with the current key.
    ///
    /// # Errors
    /// No key is in use yet, or it cannot sign.
    pub fn sign(&self, claims: &Claims) -> Result<String, Error> {
        let known = self.known();
        self.signer(&known)?.sign(claims).map_err(Error::internal)
    }

    /// Whether there is a key that signs now.
    ///
    /// # Errors
    /// There is none.
    pub fn check(&self) -> Result<(), Error> {
        self.signer(&self.known()).map(drop)
    }

    /// Chosen at each signature: the next key takes over at its time, not when the ring is rotated next.
    fn signer<'a>(&self, known: &'a Keyset) -> Result<&'a Signer, Error> {
        let current = Schedule::new(&known.used_from, self.rotation).current(self.clock.now());
        current.and_then(|i| known.signers.get(i)).ok_or(Error::NoSigningKey)
    }

    /// The public keys: those that sign, soon will, or did so a short while ago.
    pub fn published(&self) -> JwkSet {
        JwkSet { keys: self.known().signers.iter().map(|signer| signer.jwk().clone()).collect() }
    }

    fn known(&self) -> Arc<Keyset> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Keys for KeyRing {
    async fn jwks(&self) -> Result<JwkSet, error::Error> {
        Ok(self.published())
    }
}

/// Those of the keys that can sign.
fn readable(stored: &[StoredKey]) -> Vec<(&StoredKey, Signer)> {
    let read = |key: &StoredKey| {
        let signer = Signer::from_pkcs8(key.kid.clone(), &key.pkcs8);
        signer.inspect_err(|error| unreadable::note("signing key", &key.kid, error)).ok()
    };
    stored.iter().filter_map(|key| Some((key, read(key)?))).collect()
}

fn starts(keys: &[(&StoredKey, Signer)]) -> Vec<OffsetDateTime> {
    keys.iter().map(|(key, _)| key.used_from).collect()
}

/// The id of the key that has no successor yet; empty where there is no key.
fn youngest(stored: &[StoredKey]) -> String {
    let succeeded = |key: &StoredKey| stored.iter().any(|other| other.predecessor == key.kid);
    stored.iter().rfind(|key| !succeeded(key)).map(|key| key.kid.clone()).unwrap_or_default()
}

/// Makes a key with an id that no other has.
fn generate(predecessor: String, used_from: OffsetDateTime) -> Result<StoredKey, Error> {
    let pkcs8 = Signer::generate_pkcs8().map_err(Error::internal)?;
    let kid = uuid::Uuid::now_v7().to_string();
    Ok(StoredKey { kid, predecessor, pkcs8, used_from })
}
