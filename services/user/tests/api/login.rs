//! A login takes the same steps whatever is wrong: one hash is verified.

use std::sync::{Arc, atomic::Ordering};

use time::OffsetDateTime;
use user::{
    app::{
        Error, Expected, Requester, TokenPair,
        ports::{PasswordChange, Surviving},
    },
    domain::{Password, PasswordHash},
};

use crate::use_cases::{PASSWORD, UseCases, email};

fn refused(result: &Result<TokenPair, Error>) {
    assert!(matches!(result, Err(Error::WrongCredentials)), "{result:?}");
}

#[tokio::test]
async fn every_login_verifies_one_hash() {
    let UseCases { app, clock, passwords, orders, .. } = &UseCases::new().await;
    orders.open.store(1, Ordering::SeqCst);
    let (ada, password) = (email("ada@example.com"), Password::attempt(PASSWORD));
    let name = user::domain::Name::parse("Ada").unwrap();
    let account = app.register(ada.clone().unwrap(), name, password.clone(), None).await.unwrap();
    assert_eq!(account.created_at, clock::Clock::now(clock));

    assert!(app.log_in(ada.clone(), password.clone(), None).await.is_ok());
    refused(&app.log_in(ada.clone(), Password::attempt("wrong"), None).await);
    refused(&app.log_in(email("eve@example.com"), password.clone(), None).await);
    refused(&app.log_in(email("no address"), password.clone(), None).await);
    app.close_account(account.id, Expected::any(), Requester::Service).await.unwrap();
    refused(&app.log_in(ada, password, None).await);
    assert_eq!(*passwords.with_hash.lock().unwrap(), [true, true, false, false, true]);
}

#[tokio::test]
async fn a_password_that_changes_while_it_is_verified_begins_no_session() {
    let UseCases { app, passwords, .. } = &UseCases::new().await;
    let name = user::domain::Name::parse("Ada").unwrap();
    let ada = email("ada@example.com");
    let account = app.register(ada.clone().unwrap(), name, Password::attempt(PASSWORD), None).await.unwrap();
    let (accounts, user) = (Arc::clone(&app.accounts), account.id);
    passwords.meanwhile.set(move || {
        let accounts = Arc::clone(&accounts);
        let [old, new] = [PASSWORD, "another one"].map(|password| PasswordHash::new(password.to_owned()));
        let change = PasswordChange { user, old, new, surviving: Surviving::None, now: OffsetDateTime::now_utc() };
        Box::pin(async move { assert!(accounts.set_password(&change).await.unwrap()) })
    });
    refused(&app.log_in(ada, Password::attempt(PASSWORD), None).await);
}

#[tokio::test]
async fn an_account_that_closes_during_its_login_gets_no_session() {
    let UseCases { app, passwords, orders, .. } = &UseCases::new().await;
    orders.open.store(1, Ordering::SeqCst);
    let name = user::domain::Name::parse("Ada").unwrap();
    let ada = email("ada@example.com");
    let account = app.register(ada.clone().unwrap(), name, Password::attempt(PASSWORD), None).await.unwrap();
    let (closing, id) = (Arc::clone(app), account.id);
    passwords.meanwhile.set(move || {
        let app = Arc::clone(&closing);
        Box::pin(async move { app.close_account(id, Expected::any(), Requester::Service).await.map(drop).unwrap() })
    });
    refused(&app.log_in(ada, Password::attempt(PASSWORD), None).await);
}

/// Two hundred log-ins of one account, when not one of them is looked at, keep nobody out afterwards.
#[tokio::test]
async fn an_attempt_that_nobody_verified_does_not_count() {
    let UseCases { app, passwords, .. } = &UseCases::new().await;
    let (ada, here) = (email("ada@example.com"), "192.0.2.1".parse().ok());
    let name = user::domain::Name::parse("Ada").unwrap();
    app.register(ada.clone().unwrap(), name, Password::attempt(PASSWORD), None).await.unwrap();
    passwords.is_full.store(true, Ordering::Relaxed);
    for _ in 0..200 {
        let error = app.log_in(ada.clone(), Password::attempt(PASSWORD), here).await.unwrap_err();
        assert!(matches!(error, Error::Password(_)), "{error:?}");
    }
    passwords.is_full.store(false, Ordering::Relaxed);
    assert!(app.log_in(ada, Password::attempt(PASSWORD), here).await.is_ok());
}
