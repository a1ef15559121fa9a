//! The account and what can be done with it.

use time::OffsetDateTime;

use super::{Email, Name, Status, UserId};

/// Somebody's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Never changes.
    pub id: UserId,
    /// Where its owner gets mail; gone once it is closed.
    pub email: Option<Email>,
    /// What its owner is called; gone once it is closed.
    pub name: Option<Name>,
    /// Where it is in its life.
    pub status: Status,
    /// How many of its orders were ever confirmed; follows the events of order and changes no version.
    pub orders_placed: u64,
    /// Rises with each change that its owner or its closing makes; what `ETag` shows.
    pub version: u64,
    /// Rises with every write of the row, also of `orders_placed`; orders the versions in caches.
    pub revision: u64,
    /// When it was opened.
    pub created_at: OffsetDateTime,
    /// When `version` last rose.
    pub updated_at: OffsetDateTime,
    /// Since when an operator keeps its owner out.
    pub disabled_at: Option<OffsetDateTime>,
}

/// A change that an owner asks for; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// The new name.
    pub name: Option<Name>,
    /// The new e-mail address.
    pub email: Option<Email>,
}

impl Change {
    /// Whether the account has another e-mail address afterwards.
    pub fn gives_another_address(&self, account: &Account) -> bool {
        self.email.is_some() && self.email != account.email
    }
}

/// Why an account takes no changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotActive {
    /// It is closing or closed.
    #[error("the account is closing or closed: it can only be read")]
    Closing,
    /// An operator keeps its owner out.
    #[error("the account is disabled: it can only be read")]
    Disabled,
}

impl Account {
    /// Opens an account.
    pub fn register(id: UserId, email: Email, name: Name, now: OffsetDateTime) -> Self {
        Self {
            id,
            email: Some(email),
            name: Some(name),
            status: Status::Active,
            orders_placed: 0,
            version: 1,
            revision: 1,
            created_at: now,
            updated_at: now,
            disabled_at: None,
        }
    }

    /// Changes name and e-mail address; says whether anything is different now.
    ///
    /// # Errors
    /// Only an active account takes changes.
    pub fn change(&mut self, change: Change, now: OffsetDateTime) -> Result<bool, NotActive> {
        self.takes_changes()?;
        let before = (self.name.clone(), self.email.clone());
        // As they are written: an address in another letter case is a change, although it is not another address.
        self.name = change.name.or(self.name.take());
        self.email = change.email.or(self.email.take());
        let changed = before != (self.name.clone(), self.email.clone());
        if changed {
            self.bump_version(now);
        }
        Ok(changed)
    }

    /// Whether its owner may do everything with it.
    pub fn is_active(&self) -> bool {
        self.takes_changes().is_ok()
    }

    /// Refuses changes of an account that is not active.
    ///
    /// # Errors
    /// It is closing, closed or disabled.
    pub fn takes_changes(&self) -> Result<(), NotActive> {
        match (self.status, self.disabled_at) {
            (Status::Active, None) => Ok(()),
            (Status::Active, Some(_)) => Err(NotActive::Disabled),
            (Status::Closing | Status::Closed, _) => Err(NotActive::Closing),
        }
    }

    /// Keeps its owner out, or lets them in again; says whether that is new.
    ///
    /// # Errors
    /// The account is closing or closed.
    pub fn set_disabled(&mut self, disabled: bool, now: OffsetDateTime) -> Result<bool, NotActive> {
        if self.status != Status::Active {
            return Err(NotActive::Closing);
        }
        if self.disabled_at.is_some() == disabled {
            return Ok(false);
        }
        self.disabled_at = disabled.then_some(now);
        self.bump_version(now);
        Ok(true)
    }

    /// Begins the closing; says whether that is new.
    /// Name and address stay until its end: the address is not free while orders may still be cancelled under it.
    pub fn begin_closing(&mut self, now: OffsetDateTime) -> bool {
        if self.status != Status::Active {
            return false;
        }
        self.status = Status::Closing;
        self.bump_version(now);
        true
    }

    /// Ends the closing: what is personal is erased. Says whether that is new.
    pub fn finish_closing(&mut self, now: OffsetDateTime) -> bool {
        if self.status != Status::Closing {
            return false;
        }
        self.status = Status::Closed;
        self.email = None;
        self.name = None;
        self.bump_version(now);
        true
    }

    fn bump_version(&mut self, now: OffsetDateTime) {
        self.version += 1;
        self.revision += 1;
        // Another process' clock may be ahead of ours; time in an account does not go back.
        self.updated_at = now.max(self.updated_at);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::{Duration, macros::datetime};
    use uuid::Uuid;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);

    fn ada() -> Account {
        let email = Email::stored("ada@example.com".to_owned());
        Account::register(UserId(Uuid::nil()), email, Name::stored("Ada".to_owned()), NOW)
    }

    fn called(name: &str) -> Change {
        Change { name: Some(Name::stored(name.to_owned())), email: None }
    }

    #[test]
    fn a_change_raises_the_version_and_keeps_the_rest() {
        let mut account = ada();
        let later = NOW + Duration::SECOND;
        assert_eq!(account.change(called("Ada L."), later), Ok(true));
        assert_eq!((account.version, account.updated_at, account.created_at), (2, later, NOW));
        assert_eq!(account.email, ada().email);
    }

    #[test]
    fn no_change_changes_nothing() {
        let mut account = ada();
        assert_eq!(account.change(Change::default(), NOW + Duration::SECOND), Ok(false));
        assert_eq!(account.change(called("Ada"), NOW + Duration::SECOND), Ok(false));
        assert_eq!(account, ada());
    }

    #[test]
    fn letter_case_of_the_address_is_a_change() {
        let mut account = ada();
        let email = Some(Email::stored("Ada@example.com".to_owned()));
        assert_eq!(account.change(Change { name: None, email }, NOW), Ok(true));
    }

    #[test]
    fn a_disabled_account_takes_no_changes_until_it_is_enabled() {
        let mut account = ada();
        assert_eq!(account.set_disabled(false, NOW), Ok(false));
        assert_eq!(account.set_disabled(true, NOW), Ok(true));
        assert_eq!(account.set_disabled(true, NOW + Duration::SECOND), Ok(false));
        assert_eq!((account.version, account.disabled_at, account.is_active()), (2, Some(NOW), false));
        assert_eq!(account.change(called("Eve"), NOW), Err(NotActive::Disabled));
        assert_eq!(account.set_disabled(false, NOW), Ok(true));
        assert_eq!((account.version, account.is_active()), (3, true));
        assert!(account.begin_closing(NOW));
        assert_eq!(account.set_disabled(true, NOW), Err(NotActive::Closing));
    }

    #[test]
    fn closes_once_and_forgets() {
        let mut account = ada();
        assert!(!account.finish_closing(NOW));
        assert!(account.begin_closing(NOW));
        assert!(!account.begin_closing(NOW));
        assert_eq!(account.change(called("Eve"), NOW), Err(NotActive::Closing));
        assert!(account.email.is_some());
        assert!(account.finish_closing(NOW));
        assert!(!account.finish_closing(NOW));
        assert_eq!((account.email.clone(), account.name.clone(), account.version), (None, None, 3));
        assert_eq!(account.change(Change::default(), NOW), Err(NotActive::Closing));
    }

    proptest! {
        #[test]
        fn never_goes_back(verbs in proptest::collection::vec(0..3_u8, 0..12)) {
            let mut account = ada();
            let rank = |s: Status| match s { Status::Active => 0, Status::Closing => 1, Status::Closed => 2 };
            for verb in verbs {
                let (before, version) = (rank(account.status), account.version);
                let new = match verb {
                    0 => account.change(called("Eve"), NOW).unwrap_or(false),
                    1 => account.begin_closing(NOW),
                    _ => account.finish_closing(NOW),
                };
                prop_assert!(rank(account.status) >= before);
                prop_assert_eq!(account.version, version + u64::from(new));
                prop_assert_eq!(account.status == Status::Closed, account.email.is_none());
            }
        }
    }
}
