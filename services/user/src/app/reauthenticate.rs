//! Changes for which an access token alone is not enough: their owner says the password once more.

use std::net::IpAddr;

use super::{App, Error, ports::Surviving};
use crate::domain::{Account, Password, PasswordHash, SessionId};

/// What an owner shows in addition to an access token.
pub struct Reauthentication {
    /// The session that the token belongs to.
    pub session: SessionId,
    /// The address that the request came from, where that is known.
    pub client: Option<IpAddr>,
    /// The current password, if it came along.
    pub password: Option<Password>,
}

/// Who asks for such a change.
pub enum Requester {
    /// The owner of the account.
    Owner(Reauthentication),
    /// Another service, by its credential: it is trusted with every account.
    Service,
}

impl Requester {
    /// The address that the request came from, where that is known.
    pub(super) fn client(&self) -> Option<IpAddr> {
        match self {
            Self::Owner(owner) => owner.client,
            Self::Service => None,
        }
    }

    /// Which sessions go on after a change that ends the others: nobody else may have taken part in it.
    pub(super) fn surviving(&self) -> Surviving {
        match self {
            Self::Owner(owner) => Surviving::Only(owner.session),
            Self::Service => Surviving::None,
        }
    }
}

impl App {
    /// Refuses an owner without the current password.
    pub(super) async fn reauthenticate(&self, account: &Account, requester: &Requester) -> Result<(), Error> {
        match requester {
            Requester::Owner(owner) => self.verify_current_password(account, owner).await.map(drop),
            Requester::Service => Ok(()),
        }
    }

    /// Verifies the current password and returns its hash. A wrong one counts like one at a login: whoever has a stolen
    /// token may not guess more often than whoever has none.
    pub(super) async fn verify_current_password(
        &self,
        account: &Account,
        owner: &Reauthentication,
    ) -> Result<PasswordHash, Error> {
        let password = owner.password.clone().ok_or(Error::PasswordMissing)?;
        let login = self.authenticate(account.email.clone(), password, owner.client).await?;
        // The address was just read, but may have changed hands since.
        login.filter(|login| login.user == account.id).map(|login| login.hash).ok_or(Error::WrongPassword)
    }
}
