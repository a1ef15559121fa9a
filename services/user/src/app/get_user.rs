//! Reading accounts, through the cache.

use std::sync::Arc;

use cache::LoadError;
use error::{HasProblem as _, Kind};
use tracing::instrument;

use super::{App, CachedAccount, Error, ports::StoreError};
use crate::domain::{Account, UserId};

impl App {
    /// Finds an account.
    ///
    /// # Errors
    /// There is none; the store fails. A cache that fails only makes it slower.
    #[instrument(name = "service.get_user", skip_all, fields(user.id = %id))]
    pub async fn get_user(&self, id: UserId) -> Result<Account, Error> {
        let accounts = Arc::clone(&self.accounts);
        let load = async move || Ok(accounts.get(id).await?.as_ref().map(CachedAccount::from));
        let cached = self.cache.get_or_load(&id, CachedAccount::revision, load).await.map_err(store_error)?;
        Account::try_from(cached.ok_or(Error::NotFound)?).map_err(Error::internal)
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
        Ok(self.accounts.get_many(ids).await?)
    }

    /// Drops an account from the cache.
    pub async fn invalidate_cached(&self, id: UserId) {
        self.cache.invalidate(&id).await;
    }

    /// Caches an account as it was just stored; an older revision that a slow reader brings later does not replace it.
    pub(super) async fn write_through(&self, account: &Account) {
        self.cache.put(&account.id, Some(&CachedAccount::from(account)), account.revision).await;
    }
}

/// Several callers may have waited for the load that failed, so its error is shared and cannot be handed on as it is.
fn store_error(error: LoadError<StoreError>) -> StoreError {
    match &error {
        LoadError::Failed(cause) if cause.kind() == Kind::Internal => StoreError::Failed(error.into()),
        _ => StoreError::Unavailable(error.into()),
    }
}
