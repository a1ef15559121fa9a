//! Changing the password.

use tracing::instrument;

use super::{
    App, Error, Reauthentication,
    ports::{PasswordChange, Surviving},
};
use crate::domain::{Password, UserId};

impl App {
    /// Replaces the password and ends all other sessions: whoever knew the old one is out.
    ///
    /// # Errors
    /// The current password is wrong, or was too often; the account takes no changes; the store fails.
    #[instrument(name = "service.change_password", skip_all, fields(user.id = %id))]
    pub async fn change_password(&self, id: UserId, owner: Reauthentication, new: Password) -> Result<(), Error> {
        let account = self.accounts.get(id).await?.ok_or(Error::NoAccount)?;
        account.takes_changes()?;
        let old = self.verify_current_password(&account, &owner).await?;
        let new = self.passwords.hash(new, owner.client).await?;
        let surviving = Surviving::Only(owner.session);
        let change = PasswordChange { user: id, old, new, surviving, now: self.now() };
        // Changed by somebody else meanwhile, what was verified here is not the current password any more.
        if self.accounts.set_password(&change).await? { Ok(()) } else { Err(Error::WrongPassword) }
    }
}
