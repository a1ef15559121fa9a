//! What the use cases need from outside.

use std::error::Error as StdError;

use async_trait::async_trait;
use error::{HasKind, Kind};
use messaging::{Effects, Receipt};
use telemetry::Carrier;
use time::OffsetDateTime;

use crate::domain::{Account, Email, Password, PasswordHash, Role, SessionId, Status, UserId};

/// Why a port could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Its queue is full: later.
    #[error("too much is waiting")]
    Overloaded,
    /// It does not answer: later.
    #[error("not available")]
    Unavailable(#[source] Box<dyn StdError + Send + Sync>),
    /// It is wrong, and will be.
    #[error("failed")]
    Broken(#[source] Box<dyn StdError + Send + Sync>),
}

impl HasKind for Failure {
    fn kind(&self) -> Kind {
        match self {
            Self::Overloaded | Self::Unavailable(_) => Kind::Unavailable,
            Self::Broken(_) => Kind::Internal,
        }
    }
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saved {
    /// It is stored, as this.
    Stored(Account),
    /// The account has another version; nothing is stored.
    Stale,
    /// Somebody has the e-mail address; nothing is stored.
    EmailTaken,
}

/// What a login needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Whose it is.
    pub user: UserId,
    /// Only active accounts may log in.
    pub status: Status,
    /// For the token.
    pub role: Role,
    /// What the password is checked against.
    pub hash: PasswordHash,
}

/// A closing that is due.
#[derive(Debug, Clone)]
pub struct Due {
    /// Whose account.
    pub user: UserId,
    /// How often order was asked before.
    pub attempts: u32,
    /// How often an event asked for a look, when this was read.
    pub wakes: u64,
    /// The trace and the canary mark of the request that began it.
    pub carrier: Carrier,
}

/// Sums over all accounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Accounts, closed ones too.
    pub users: u64,
    /// Closings that are not finished.
    pub closing: u64,
    /// Orders that were ever confirmed.
    pub orders_placed: u64,
}

/// Where accounts and their closings are kept. Each write stores its events in the same transaction.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Stores a new account.
    async fn add(&self, account: &Account, password: &PasswordHash, effects: &Effects) -> Result<Saved, Failure>;
    /// Finds an account.
    async fn get(&self, id: UserId) -> Result<Option<Account>, Failure>;
    /// Finds those of the accounts that exist, in no order.
    async fn get_many(&self, ids: &[UserId]) -> Result<Vec<Account>, Failure>;
    /// Finds what a login needs, by e-mail address (letter case ignored).
    async fn login(&self, email: &Email) -> Result<Option<Login>, Failure>;
    /// Stores name, e-mail address and version of a changed account, if the stored version is the one before.
    async fn save(&self, account: &Account, effects: &Effects) -> Result<Saved, Failure>;
    /// Gives a role; says whether there is such an account.
    async fn set_role(&self, email: &Email, role: Role) -> Result<bool, Failure>;
    /// Counts a confirmed order, once per receipt. `None` if there is no such account.
    async fn count_order(&self, id: UserId, receipt: Receipt) -> Result<Option<()>, Failure>;
    /// Stores an account that begins to close, with its closing due at `first` and the trace that it belongs to,
    /// and revokes its sessions, if the stored version is the one before.
    async fn begin_closing(&self, account: &Account, first: OffsetDateTime) -> Result<Saved, Failure>;
    /// Takes up to `limit` closings that are due and hides them until `until`.
    async fn due_closings(&self, now: OffsetDateTime, until: OffsetDateTime, limit: u32) -> Result<Vec<Due>, Failure>;
    /// Puts a closing off until `next`, unless events asked for a look more often than `wakes`: then it is due `now`.
    async fn postpone_closing(
        &self,
        id: UserId,
        wakes: u64,
        now: OffsetDateTime,
        next: OffsetDateTime,
    ) -> Result<(), Failure>;
    /// Makes a closing due; says whether there is one.
    async fn wake_closing(&self, id: UserId, now: OffsetDateTime) -> Result<bool, Failure>;
    /// Stores a closed account, forgets its password and sessions, and ends its closing,
    /// if the stored version is the one before.
    async fn finish_closing(&self, account: &Account, effects: &Effects) -> Result<Saved, Failure>;
    /// Sums everything up.
    async fn totals(&self) -> Result<Totals, Failure>;
}

/// The hash under which a refresh token is stored.
pub type TokenHash = [u8; 32];

/// A session that begins or goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// The family.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// The role for its next access token.
    pub role: Role,
}

/// Where sessions and the hashes of their refresh tokens are kept.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Begins a session with its first token. `false` if the account is not active any more.
    async fn open(
        &self,
        session: &Session,
        token: &TokenHash,
        now: OffsetDateTime,
        end: OffsetDateTime,
    ) -> Result<bool, Failure>;
    /// Uses up `old` and stores `new` instead. `None` if `old` does not let anybody in;
    /// if that is because it was used before, the session is revoked.
    async fn rotate(
        &self,
        old: &TokenHash,
        new: &TokenHash,
        now: OffsetDateTime,
        end: OffsetDateTime,
    ) -> Result<Option<Session>, Failure>;
    /// Ends a session.
    async fn revoke(&self, id: SessionId, now: OffsetDateTime) -> Result<(), Failure>;
    /// Drops up to `limit` tokens and sessions that ended before `now`; says how many.
    async fn prune(&self, now: OffsetDateTime, limit: u32) -> Result<u64, Failure>;
}

/// A signing key as it is stored. Its `Debug` does not show the private part.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Its id, in the header of tokens.
    pub kid: String,
    /// The key before it; empty for the first.
    pub predecessor: String,
    /// The private key.
    pub pkcs8: Vec<u8>,
    /// From when it signs.
    pub used_from: OffsetDateTime,
}

impl std::fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredKey").field("kid", &self.kid).field("used_from", &self.used_from).finish_non_exhaustive()
    }
}

/// Where signing keys are kept.
#[async_trait]
pub trait SigningKeys: Send + Sync {
    /// All keys, oldest first.
    async fn all(&self) -> Result<Vec<StoredKey>, Failure>;
    /// Stores a key, unless its predecessor has a successor.
    async fn add(&self, key: &StoredKey) -> Result<(), Failure>;
    /// Drops a key.
    async fn remove(&self, kid: &str) -> Result<(), Failure>;
}

/// What hashes passwords: slowly, and few at a time.
#[async_trait]
pub trait Passwords: Send + Sync {
    /// Hashes a password with a new salt.
    async fn hash(&self, password: Password) -> Result<PasswordHash, Failure>;
    /// Checks a password; without a hash it takes as long and is wrong.
    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<bool, Failure>;
}

/// The service that owns orders.
#[async_trait]
pub trait Orders: Send + Sync {
    /// Tells that an account is closing, any number of times; answers how many of its orders are not settled.
    async fn close_account(&self, id: UserId) -> Result<u64, Failure>;
}
