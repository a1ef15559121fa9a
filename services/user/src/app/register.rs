//! Opening an account.

use std::net::IpAddr;

use tracing::instrument;
use uuid::Uuid;

use super::{App, Error, ports::Saved, published};
use crate::domain::{Account, DomainEvent, Email, Name, Password, UserId};

impl App {
    /// Opens an account. `client` is the address that the request came from, where that is known.
    ///
    /// # Errors
    /// The e-mail address is taken; too many passwords wait to be hashed; the store fails.
    #[instrument(name = "service.register", skip_all, fields(user.id))]
    pub async fn register(
        &self,
        email: Email,
        name: Name,
        password: Password,
        client: Option<IpAddr>,
    ) -> Result<Account, Error> {
        let hash = self.passwords.hash(password, client).await?;
        let account = Account::register(UserId(Uuid::now_v7()), email, name, self.now());
        tracing::Span::current().record("user.id", tracing::field::display(account.id));
        let effects = published::effects(DomainEvent::Registered, account.id, account.created_at)?;
        match self.accounts.add(&account, &hash, &effects).await? {
            Saved::Stored(account) => {
                self.offer_verification(&account, client).await;
                Ok(account)
            }
            Saved::EmailTaken | Saved::Stale => Err(Error::EmailTaken),
        }
    }
}
