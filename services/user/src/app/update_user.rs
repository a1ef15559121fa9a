//! Changing name and e-mail address.

use tracing::instrument;

use super::{
    App, Error, Requester,
    contention::Rounds,
    ports::{Saved, Surviving},
    published,
};
use crate::domain::{Account, Change, DomainEvent, UserId};

/// Which versions a write may be made on.
pub struct Expected(Box<dyn Fn(u64) -> bool + Send + Sync>);

impl Expected {
    /// Any version.
    pub fn any() -> Self {
        Self(Box::new(|_| true))
    }

    /// This version.
    pub fn version(expected: u64) -> Self {
        Self(Box::new(move |version| version == expected))
    }

    /// The versions that `matches` says yes to.
    pub fn matching(matches: impl Fn(u64) -> bool + Send + Sync + 'static) -> Self {
        Self(Box::new(matches))
    }

    /// Refuses other versions.
    ///
    /// # Errors
    /// The version is another one.
    pub fn check(&self, version: u64) -> Result<(), Error> {
        if (self.0)(version) { Ok(()) } else { Err(Error::Stale) }
    }
}

impl App {
    /// Refuses changes of an account that is closing, closed or disabled: what a change is refused for before it is read.
    ///
    /// # Errors
    /// The account takes no changes; there is none; the store fails.
    pub async fn may_change(&self, id: UserId) -> Result<(), Error> {
        Ok(self.own_account(id).await?.takes_changes()?)
    }

    /// Changes an account, if it has an expected version. Another e-mail address needs the owner's password and ends the
    /// other sessions.
    ///
    /// # Errors
    /// No such account; it takes no changes; the password is missing, wrong, or was too often; another version; others change it all
    /// the time; the e-mail address is taken; the store fails.
    #[instrument(name = "service.update_user", skip_all, fields(user.id = %id))]
    pub async fn update_user(
        &self,
        id: UserId,
        change: Change,
        expected: Expected,
        requester: Requester,
    ) -> Result<Account, Error> {
        let mut reauthenticated = false;
        let mut rounds = Rounds::default();
        while rounds.next().await {
            let mut account = self.accounts.get(id).await?.ok_or(Error::NotFound)?;
            account.takes_changes()?;
            let mut surviving = Surviving::All;
            if change.gives_another_address(&account) {
                if !reauthenticated {
                    self.reauthenticate(&account, &requester).await?;
                    reauthenticated = true;
                }
                surviving = requester.surviving();
            }
            expected.check(account.version)?;
            let now = self.now();
            if !account.change(change.clone(), now)? {
                return Ok(account);
            }
            match self.accounts.save(&account, surviving, &published::effects(DomainEvent::Updated, id, now)?).await? {
                Saved::Stored(account) => {
                    self.write_through(&account).await;
                    if surviving != Surviving::All {
                        self.offer_verification(&account, requester.client()).await;
                    }
                    return Ok(account);
                }
                Saved::EmailTaken => return Err(Error::EmailTaken),
                Saved::Stale => {}
            }
        }
        Err(Error::Contended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_expected_versions_pass() {
        assert!(Expected::any().check(7).is_ok());
        assert!(Expected::version(7).check(7).is_ok());
        assert!(matches!(Expected::version(6).check(7), Err(Error::Stale)));
        assert!(Expected::matching(|version| version > 6).check(7).is_ok());
    }
}
