//! Keeping somebody out, and letting them in again: what operators do, and what others may read of it.

use tracing::instrument;
use uuid::Uuid;

use super::{
    App, Error,
    ports::{AuditEntry, Saved},
    published,
};
use crate::domain::{Account, OperatorAction, Reason, UserId};

/// How often it is tried when others write at the same time.
const MAX_ATTEMPTS: usize = 8;

impl App {
    /// Disables an account and ends its sessions, or enables it, any number of times. What is new is in the audit trail.
    /// Nobody disables their own account: so one operator is left who can enable the others.
    ///
    /// # Errors
    /// Who asks is no active operator by now, or it is their own account; no such account, or it is closing or closed; the
    /// store fails.
    #[instrument(name = "service.set_disabled", skip_all, fields(user.id = %id, operator.id = %operator))]
    pub async fn set_disabled(
        &self,
        operator: UserId,
        id: UserId,
        disabled: bool,
        reason: Reason,
    ) -> Result<Account, Error> {
        if operator == id {
            return Err(Error::OwnAccount);
        }
        let action = if disabled { OperatorAction::Disable } else { OperatorAction::Enable };
        let (actor, subject, detail) = (Some(operator), Some(id), Some(reason.into_text()));
        let entry = AuditEntry { actor, subject, detail, ..AuditEntry::new(action, self.now()) };
        for _ in 0..MAX_ATTEMPTS {
            let mut account = self.accounts.get(id).await?.ok_or(Error::NotFound)?;
            let now = self.now();
            if !account.set_disabled(disabled, now)? {
                return Ok(account);
            }
            let effects = published::standing(&account, now)?;
            let saved = self.accounts.set_disabled(&account, &entry, &effects).await?;
            if let Saved::Stored(account) = saved.ok_or(Error::NoOperator)? {
                self.write_through(&account).await;
                return Ok(account);
            }
        }
        Err(Error::Stale)
    }

    /// Up to `limit` actions of operators, youngest first, those after `after`.
    ///
    /// # Errors
    /// The store fails.
    pub async fn audit_trail(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<AuditEntry>, Error> {
        Ok(self.audit_trail.list(after, limit).await?)
    }
}
