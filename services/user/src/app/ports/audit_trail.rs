//! What operators did.

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use crate::domain::{OperatorAction, UserId};

/// One action of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// A UUID of version 7: entries are in its order.
    pub id: Uuid,
    /// When it was done.
    pub at: OffsetDateTime,
    /// The operator's account; `None` for a command of the binary, on its database.
    pub actor: Option<UserId>,
    /// What was done.
    pub action: OperatorAction,
    /// To whose account.
    pub subject: Option<UserId>,
    /// Why, or which role.
    pub detail: Option<String>,
}

impl AuditEntry {
    /// An entry of now.
    pub fn new(action: OperatorAction, at: OffsetDateTime) -> Self {
        Self { id: Uuid::now_v7(), at, actor: None, action, subject: None, detail: None }
    }
}

/// Where the actions of operators are kept for ever. Each is stored with its entry in one transaction, by the port of what is
/// changed.
#[async_trait]
pub trait AuditTrail: Send + Sync {
    /// Up to `limit` entries, youngest first, those after `after`; of one that cannot be read its id, and it has been noted.
    async fn list(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<Result<AuditEntry, Uuid>>, StoreError>;
}
