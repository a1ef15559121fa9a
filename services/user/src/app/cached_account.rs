//! An account as the cache keeps it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{Account, Email, Invalid, Name, UserId};

/// An account, flat and serializable. It has no `Debug`, because it is personal.
#[derive(Clone, Serialize, Deserialize)]
pub struct CachedAccount {
    id: Uuid,
    email: Option<String>,
    name: Option<String>,
    status: String,
    orders_placed: u64,
    version: u64,
    revision: u64,
    created_at: i64,
    updated_at: i64,
    // Not in what was cached before there was such a thing.
    #[serde(default)]
    disabled_at: Option<i64>,
}

impl CachedAccount {
    /// Tells which of two cached versions of an account is the younger.
    pub fn revision(&self) -> u64 {
        self.revision
    }
}

impl From<&Account> for CachedAccount {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id.0,
            email: account.email.as_ref().map(|e| e.as_str().to_owned()),
            name: account.name.as_ref().map(|n| n.as_str().to_owned()),
            status: account.status.as_str().to_owned(),
            orders_placed: account.orders_placed,
            version: account.version,
            revision: account.revision,
            created_at: clock::micros(account.created_at),
            updated_at: clock::micros(account.updated_at),
            disabled_at: account.disabled_at.map(clock::micros),
        }
    }
}

impl TryFrom<CachedAccount> for Account {
    type Error = Invalid;

    fn try_from(cached: CachedAccount) -> Result<Self, Invalid> {
        Ok(Self {
            id: UserId(cached.id),
            email: cached.email.map(Email::stored),
            name: cached.name.map(Name::stored),
            status: cached.status.parse()?,
            orders_placed: cached.orders_placed,
            version: cached.version,
            revision: cached.revision,
            created_at: clock::from_micros(cached.created_at),
            updated_at: clock::from_micros(cached.updated_at),
            disabled_at: cached.disabled_at.map(clock::from_micros),
        })
    }
}
