//! The keys that sign access tokens, and how they take turns.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use auth::{Claims, JwkSet, Keys, Signer};
use clock::SharedClock;
use time::OffsetDateTime;

use super::{
    Error,
    ports::{SigningKeys, StoredKey},
};
use crate::domain::{Rotation, Schedule};

#[derive(Default)]
struct Keyset {
    used_from: Vec<OffsetDateTime>,
    keys: Vec<Signer>,
}

/// The known keys. Several processes may share a store: of two that make a successor, one wins.
pub struct KeyRing {
    store: Arc<dyn SigningKeys>,
    clock: SharedClock,
    rotation: Rotation,
    known: RwLock<Arc<Keyset>>,
}

impl KeyRing {
    /// Reads the keys and makes the first one if there is none.
    ///
    /// # Errors
    /// The store fails.
    pub async fn open(store: Arc<dyn SigningKeys>, clock: SharedClock, rotation: Rotation) -> Result<Self, Error> {
        let ring = Self { store, clock, rotation, known: RwLock::default() };
        ring.turn().await?;
        Ok(ring)
    }

    /// Reads the keys, makes the next one when it is due, drops those that nobody needs.
    ///
    /// # Errors
    /// The store fails.
    pub async fn turn(&self) -> Result<(), Error> {
        let now = self.clock.now();
        let mut stored = self.store.all().await?;
        if let Some(used_from) = Schedule::new(&starts(&stored), self.rotation).successor(now) {
            let predecessor = stored.last().map(|key| key.kid.clone()).unwrap_or_default();
            self.store.add(&generate(predecessor, used_from)?).await?;
            stored = self.store.all().await?;
        }
        let retired = Schedule::new(&starts(&stored), self.rotation).retired(now);
        for key in stored.drain(..retired) {
            self.store.remove(&key.kid).await?;
        }
        let keyset = Keyset { used_from: starts(&stored), keys: stored.iter().map(read).collect::<Result<_, _>>()? };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keyset);
        Ok(())
    }

    /// Signs claims with the current key.
    ///
    /// # Errors
    /// No key, or a broken one.
    pub fn sign(&self, claims: &Claims) -> Result<String, Error> {
        let known = self.known();
        let current = Schedule::new(&known.used_from, self.rotation).current(self.clock.now());
        let key = current.and_then(|i| known.keys.get(i)).ok_or_else(|| Error::broken("no key signs now"))?;
        key.sign(claims).map_err(Error::broken)
    }

    /// The public keys: those that sign, soon will, or did so a short while ago.
    pub fn published(&self) -> JwkSet {
        JwkSet { keys: self.known().keys.iter().map(|key| key.jwk().clone()).collect() }
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

fn read(stored: &StoredKey) -> Result<Signer, Error> {
    Signer::from_pkcs8(stored.kid.clone(), &stored.pkcs8).map_err(Error::broken)
}

fn starts(stored: &[StoredKey]) -> Vec<OffsetDateTime> {
    stored.iter().map(|key| key.used_from).collect()
}

/// Makes a key with a name that no other has.
fn generate(predecessor: String, used_from: OffsetDateTime) -> Result<StoredKey, Error> {
    let pkcs8 = Signer::generate_pkcs8().map_err(Error::broken)?;
    let kid = uuid::Uuid::now_v7().to_string();
    Ok(StoredKey { kid, predecessor, pkcs8, used_from })
}
