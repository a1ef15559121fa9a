//! Giving a role: the operator's own command, on the database.

use time::OffsetDateTime;

use super::{
    Error,
    ports::{Accounts, AuditEntry},
};
use crate::domain::{Email, OperatorAction, Role};

/// Gives the account with this e-mail address a role, which counts from its next token.
///
/// # Errors
/// No such account; the store fails.
pub async fn grant_role(accounts: &dyn Accounts, email: &Email, role: Role, now: OffsetDateTime) -> Result<(), Error> {
    let entry = AuditEntry { detail: Some(role.to_string()), ..AuditEntry::new(OperatorAction::Grant, now) };
    if accounts.set_role(email, role, &entry).await? { Ok(()) } else { Err(Error::NotFound) }
}
