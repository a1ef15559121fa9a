//! Reading accounts, through the cache.

use std::sync::Arc;

use cache::LoadError;
use error::{HasKind as _, Kind};
use tracing::instrument;

use super::{App, Error, Profile, ports::Failure};
use crate::domain::{Account, UserId};

impl App {
    /// Finds an account.
    ///
    /// # Errors
    /// There is none; the store fails. A cache that fails is only slower.
    #[instrument(name = "service.get_user", skip_all, fields(user.id = %id))]
    pub async fn get_user(&self, id: UserId) -> Result<Account, Error> {
        let accounts = Arc::clone(&self.parts.accounts);
        let load = async move || Ok(accounts.get(id).await?.as_ref().map(Profile::from));
        let profile = self.parts.cache.get_or_load(&id, Profile::revision, load).await.map_err(not_loaded)?;
        Account::try_from(profile.ok_or(Error::NotFound)?).map_err(Error::broken)
    }

    /// Finds the account that a token speaks for.
    ///
    /// # Errors
    /// There is none; the store fails.
    pub async fn own_account(&self, id: UserId) -> Result<Account, Error> {
        self.get_user(id).await.map_err(|error| match error {
            Error::NotFound => Error::NoAccount,
            other => other,
        })
    }

    /// Finds those of the accounts that exist.
    ///
    /// # Errors
    /// The store fails.
    #[instrument(name = "service.get_users", skip_all)]
    pub async fn get_users(&self, ids: &[UserId]) -> Result<Vec<Account>, Error> {
        Ok(self.parts.accounts.get_many(ids).await?)
    }

    /// Drops the copy of an account.
    pub async fn forget(&self, id: UserId) {
        self.parts.cache.invalidate(&id).await;
    }

    /// Puts the copy of an account in the place of older ones.
    pub(super) async fn remember(&self, account: &Account) {
        self.parts.cache.put(&account.id, Some(&Profile::from(account)), account.revision).await;
    }
}

/// Several callers may have waited for the load that failed.
fn not_loaded(error: LoadError<Failure>) -> Failure {
    match &error {
        LoadError::Failed(cause) if cause.kind() == Kind::Internal => Failure::Broken(error.into()),
        _ => Failure::Unavailable(error.into()),
    }
}
