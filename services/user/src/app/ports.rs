//! What the use cases need from outside.

mod audit_trail;
mod mail;

use std::{error::Error as StdError, net::IpAddr, time::Duration};

use async_trait::async_trait;
use error::{HasProblem, Problem};
use messaging::{Effects, Event, Receipt};
use telemetry::Carrier;
use time::OffsetDateTime;

pub use audit_trail::{AuditEntry, AuditTrail};
pub use mail::{Content, Letter, MailError, MailTokens, Mails, NewMailToken, Notifications};

use crate::domain::{Account, Email, Password, PasswordHash, Role, SessionId, UserId};

type Source = Box<dyn StdError + Send + Sync>;

/// A store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached or is too busy; asking again may help.
    #[error("the store is not available")]
    Unavailable(#[source] Source),
    /// It refused, or holds what cannot be read.
    #[error("the store failed")]
    Failed(#[source] Source),
}

impl HasProblem for StoreError {
    fn problem(&self) -> Problem {
        match self {
            Self::Unavailable(_) => Problem::Unavailable,
            Self::Failed(_) => Problem::Internal,
        }
    }
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saved {
    /// It is stored, as this.
    Stored(Account),
    /// The stored account has another version: nothing was done.
    Stale,
    /// Somebody has the e-mail address: nothing was done.
    EmailTaken,
}

/// What a login needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Whose it is.
    pub user: UserId,
    /// Only active accounts that are not disabled may log in.
    pub is_active: bool,
    /// For the access token.
    pub role: Role,
    /// What the password is checked against.
    pub hash: PasswordHash,
}

/// Which sessions of an account go on after a change; the others end with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surviving {
    /// All of them.
    All,
    /// The one in which the change was asked for.
    Only(SessionId),
    /// None.
    None,
}

/// A new password for an account.
#[derive(Debug)]
pub struct PasswordChange {
    /// Whose it is.
    pub user: UserId,
    /// What it has to be until now.
    pub old: PasswordHash,
    /// What it is from now on.
    pub new: PasswordHash,
    /// What becomes of the sessions.
    pub surviving: Surviving,
    /// When.
    pub now: OffsetDateTime,
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

/// What an audit reads of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedAccount {
    /// Its id.
    pub id: UserId,
    /// The name of its status, as stored.
    pub status: String,
    /// Its orders that were ever confirmed, as stored.
    pub orders_placed: i64,
}

/// Where accounts are kept. Each write stores its events in the same transaction.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Stores a new account.
    async fn add(&self, account: &Account, password: &PasswordHash, effects: &Effects) -> Result<Saved, StoreError>;
    /// Finds an account.
    async fn get(&self, id: UserId) -> Result<Option<Account>, StoreError>;
    /// Finds those of the accounts that exist, in no order.
    async fn get_many(&self, ids: &[UserId]) -> Result<Vec<Account>, StoreError>;
    /// Finds what a login needs, by e-mail address (as one mailbox is one address).
    async fn login(&self, email: &Email) -> Result<Option<Login>, StoreError>;
    /// Stores name, e-mail address and version of a changed account and ends the sessions that do not survive it, if the
    /// stored version is the one before.
    async fn save(&self, account: &Account, surviving: Surviving, effects: &Effects) -> Result<Saved, StoreError>;
    /// Changes the password of an active account and ends the sessions that do not survive it, if the stored password is
    /// the old one; says whether.
    async fn set_password(&self, change: &PasswordChange) -> Result<bool, StoreError>;
    /// Gives a role, and stores the entry with the account as its subject; says whether there is such an account.
    async fn set_role(&self, email: &Email, role: Role, entry: &AuditEntry) -> Result<bool, StoreError>;
    /// Stores that an account is disabled, or is not any more, with its entry, and ends all its sessions, if the stored
    /// version is the one before. `None` if the entry's actor is no active operator by now: of two who disable each other
    /// one is left.
    async fn set_disabled(
        &self,
        account: &Account,
        entry: &AuditEntry,
        effects: &Effects,
    ) -> Result<Option<Saved>, StoreError>;
    /// Counts a confirmed order, once per receipt, and records the mail that `task` sends, as [`Notifications::record`] does;
    /// says whether there is such an account.
    async fn count_order(&self, id: UserId, task: Option<&Event>, receipt: Receipt) -> Result<bool, StoreError>;
    /// Sums everything up.
    async fn totals(&self) -> Result<Totals, StoreError>;
    /// At most `limit` accounts by ascending id, after `after`.
    async fn page(&self, after: Option<UserId>, limit: u32) -> Result<Vec<AuditedAccount>, StoreError>;
}

/// A closing that is due.
#[derive(Debug, Clone)]
pub struct DueClosing {
    /// Whose account.
    pub user: UserId,
    /// How often it was claimed, this time included.
    pub attempts: u32,
    /// How often it was woken, when this was read.
    pub wakes: u64,
    /// The trace and the canary mark of the request that began it.
    pub carrier: Carrier,
}

/// Where the closing of accounts is kept from its beginning to its end.
#[async_trait]
pub trait Closings: Send + Sync {
    /// Stores an account that begins to close, with its closing due at `due_at` and the trace that it belongs to,
    /// and revokes its sessions, if the stored version is the one before.
    async fn begin(&self, account: &Account, due_at: OffsetDateTime) -> Result<Saved, StoreError>;
    /// Claims up to `limit` closings that are due: hides them until `until`. Also those whose time lies beyond
    /// [`clock::HORIZON`].
    async fn claim_due(
        &self,
        now: OffsetDateTime,
        until: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<DueClosing>, StoreError>;
    /// Puts a closing off until `due_at`, unless it was woken more often than `wakes`: then it is due `now`.
    async fn postpone(
        &self,
        id: UserId,
        wakes: u64,
        now: OffsetDateTime,
        due_at: OffsetDateTime,
    ) -> Result<(), StoreError>;
    /// Makes a closing due; says whether there is one.
    async fn wake(&self, id: UserId, now: OffsetDateTime) -> Result<bool, StoreError>;
    /// Stores a closed account with its events, forgets its password and sessions, and ends its closing, if the stored
    /// version is the one before; and records the mail that `task` sends, to the address that the account had.
    async fn finish(&self, account: &Account, task: Option<&Event>, effects: &Effects) -> Result<Saved, StoreError>;
}

/// The hash under which a refresh token is stored.
pub type TokenHash = [u8; 32];

/// A session that begins or goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Its id, which all its tokens share.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// The role for its next access token.
    pub role: Role,
}

/// A session that goes on, as its owner sees it. Where it is used from is not known: nobody stores that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenSession {
    /// Its id.
    pub id: SessionId,
    /// When it began.
    pub created_at: OffsetDateTime,
    /// When its tokens were last given out.
    pub last_used_at: OffsetDateTime,
    /// When it ends unless it is used.
    pub expires_at: OffsetDateTime,
}

/// A session that begins with a password.
#[derive(Debug)]
pub struct NewSession {
    /// The session.
    pub session: Session,
    /// Its first refresh token.
    pub token: TokenHash,
    /// The password that was verified for it.
    pub password: PasswordHash,
    /// When.
    pub now: OffsetDateTime,
    /// When the token ends.
    pub expires_at: OffsetDateTime,
}

/// What gives, together with a refresh token, the token's successor.
pub type Seed = [u8; 32];

/// How long a refresh token may be shown again after its first use.
pub const REPEAT_WITHIN: Duration = Duration::from_secs(10);

/// A refresh token that is to be exchanged for its successor.
#[derive(Debug)]
pub struct Renewal {
    /// The token.
    pub token: TokenHash,
    /// What follows it.
    pub successor: TokenHash,
    /// From what that was made.
    pub seed: Seed,
    /// When.
    pub now: OffsetDateTime,
    /// When the successor ends.
    pub expires_at: OffsetDateTime,
}

/// A session that goes on with a token's successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewed {
    /// The session.
    pub session: Session,
    /// From what the stored successor was made.
    pub seed: Seed,
}

/// Where sessions and the hashes of their refresh tokens are kept.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Begins a session with its first refresh token. `false` if the account is not active any more, or has another
    /// password by now.
    async fn open(&self, new: &NewSession) -> Result<bool, StoreError>;
    /// Uses up a token and stores its successor. One that was used no longer than [`REPEAT_WITHIN`] ago, and whose
    /// successor was not, has the successor that it had. `None` if the token is not valid; if that is because it was used
    /// before, the session is revoked.
    async fn renew(&self, renewal: &Renewal) -> Result<Option<Renewed>, StoreError>;
    /// Ends a session of an account, any number of times; says whether it has such a session.
    async fn revoke(&self, user: UserId, id: SessionId, now: OffsetDateTime) -> Result<bool, StoreError>;
    /// Up to `limit` sessions of an account that go on, youngest first, those after `after`.
    async fn list(
        &self,
        user: UserId,
        now: OffsetDateTime,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<OpenSession>, StoreError>;
    /// Deletes up to `limit` tokens and as many sessions that expired before `now`; says how many in all.
    async fn prune(&self, now: OffsetDateTime, limit: u32) -> Result<u64, StoreError>;
}

/// A signing key as it is stored. Its `Debug` does not show the private key.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Its id, in the header of tokens.
    pub kid: String,
    /// The id of the key before it; empty for the first.
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
    async fn all(&self) -> Result<Vec<StoredKey>, StoreError>;
    /// Stores a key, unless its predecessor has a successor; and with it the entry, where an operator asked for it.
    async fn add(&self, key: &StoredKey, entry: Option<&AuditEntry>) -> Result<(), StoreError>;
    /// Has a key sign from an earlier moment on than it would, and stores the entry if that changes anything.
    async fn expedite(&self, kid: &str, used_from: OffsetDateTime, entry: &AuditEntry) -> Result<(), StoreError>;
    /// Deletes a key.
    async fn remove(&self, kid: &str) -> Result<(), StoreError>;
}

/// A password was not hashed or verified.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// As many wait as may; asking again later may help.
    #[error("too many passwords wait to be hashed")]
    QueueFull,
    /// The parameters, a stored hash or the system are at fault.
    #[error("hashing failed")]
    Failed(#[source] Source),
}

impl HasProblem for PasswordError {
    fn problem(&self) -> Problem {
        match self {
            Self::QueueFull => Problem::Overloaded,
            Self::Failed(_) => Problem::Internal,
        }
    }
}

/// What hashes passwords: slowly, and few at a time.
#[async_trait]
pub trait Passwords: Send + Sync {
    /// Hashes a password with a new salt. Addresses of clients have their turns.
    async fn hash(&self, password: Password, client: Option<IpAddr>) -> Result<PasswordHash, PasswordError>;
    /// Verifies a password, in turns too; without a hash it takes as long and the password is wrong.
    async fn verify(
        &self,
        password: Password,
        hash: Option<PasswordHash>,
        client: Option<IpAddr>,
    ) -> Result<bool, PasswordError>;
}

/// The order service did not answer as it has to.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// It cannot be reached or is too busy; asking again may help.
    #[error("order cannot be reached")]
    Unavailable(#[source] Source),
    /// It answered something that is not in the contract.
    #[error("order gave an answer that makes no sense")]
    Failed(#[source] Source),
}

/// The service that owns orders.
#[async_trait]
pub trait Orders: Send + Sync {
    /// Tells that an account is closing, any number of times; answers how many of its orders are still open.
    async fn close_account(&self, id: UserId) -> Result<u64, OrderError>;
}
