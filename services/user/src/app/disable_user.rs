//! Keeping somebody out, and letting them in again: what operators do, and what others may read of it.

use tracing::instrument;
use uuid::Uuid;

use super::{
    App, Error,
    contention::Rounds,
    ports::{AuditEntry, Saved},
    published,
};
use crate::domain::{Account, OperatorAction, Reason, UserId};

impl App {
    /// Disables an account and ends its sessions, or enables it, any number of times. What is new is in the audit trail.
    /// Nobody disables their own account: so one operator is left who can enable the others.
    ///
    /// # Errors
    /// Who asks is no active operator by now, or it is their own account; no such account, or it is closing or closed;
    /// others change it all the time; the store fails.
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
        let mut rounds = Rounds::default();
        while rounds.next().await {
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
        Err(Error::Contended)
    }

    /// Up to `limit` actions of operators, youngest first, those after `after`, without those that this version does not know.
    ///
    /// # Errors
    /// The store fails.
    pub async fn audit_trail(&self, mut after: Option<Uuid>, limit: u32) -> Result<Vec<AuditEntry>, Error> {
        let mut entries = Vec::new();
        loop {
            // Those that were left out have others in their places, which come after the last one.
            let missing = (limit as usize).saturating_sub(entries.len());
            let found = self.audit_trail.list(after, u32::try_from(missing).unwrap_or(limit)).await?;
            let is_last = found.len() < missing;
            after = found.last().map(|entry| entry.as_ref().map_or_else(|id| *id, |entry| entry.id));
            entries.extend(found.into_iter().flatten());
            if is_last || entries.len() >= limit as usize {
                return Ok(entries);
            }
        }
    }
}
