//! The copy of an account that caches keep.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{Account, Email, Invalid, Name, UserId};

/// An account, flat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    id: Uuid,
    email: Option<String>,
    name: Option<String>,
    status: String,
    orders_placed: u64,
    version: u64,
    revision: u64,
    created_at: i64,
    updated_at: i64,
}

impl Profile {
    /// What says which of two copies is the younger.
    pub fn revision(&self) -> u64 {
        self.revision
    }
}

impl From<&Account> for Profile {
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
        }
    }
}

impl TryFrom<Profile> for Account {
    type Error = Invalid;

    fn try_from(profile: Profile) -> Result<Self, Invalid> {
        Ok(Self {
            id: UserId(profile.id),
            email: profile.email.map(Email::stored),
            name: profile.name.map(Name::stored),
            status: profile.status.parse()?,
            orders_placed: profile.orders_placed,
            version: profile.version,
            revision: profile.revision,
            created_at: clock::from_micros(profile.created_at),
            updated_at: clock::from_micros(profile.updated_at),
        })
    }
}
