//! Giving a role: the operator's own command, on the database.

use super::{Error, ports::Accounts};
use crate::domain::{Email, Role};

/// Gives the account with this e-mail address a role, which counts from its next token.
///
/// # Errors
/// No such account; the store fails.
pub async fn grant_role(accounts: &dyn Accounts, email: &Email, role: Role) -> Result<(), Error> {
    if accounts.set_role(email, role).await? { Ok(()) } else { Err(Error::NotFound) }
}
