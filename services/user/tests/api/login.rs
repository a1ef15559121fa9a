//! A login takes the same way whatever is wrong: one hash is verified.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cache::Cache;
use messaging::{Wake, sqlite::SqliteOutbox};
use time::{Duration, OffsetDateTime};
use user::{
    adapters::sqlite::{MIGRATIONS, SqliteStore},
    app::{
        App, ClosingPolicy, Error, Expected, KeyRing, Parts, SessionPolicy,
        ports::{Failure, Orders, Passwords},
    },
    domain::{Email, Name, Password, PasswordHash, Rotation, UserId},
};

/// Notes what was verified against a hash and what against none.
#[derive(Default)]
struct Noted(Mutex<Vec<bool>>);

#[async_trait]
impl Passwords for Noted {
    async fn hash(&self, password: Password) -> Result<PasswordHash, Failure> {
        Ok(PasswordHash::new(password.expose().to_owned()))
    }

    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<bool, Failure> {
        self.0.lock().unwrap().push(hash.is_some());
        Ok(hash.is_some_and(|hash| hash.expose() == password.expose()))
    }
}

/// Has one order that is never settled.
struct NeverSettled;

#[async_trait]
impl Orders for NeverSettled {
    async fn close_account(&self, _: UserId) -> Result<u64, Failure> {
        Ok(1)
    }
}

async fn app(passwords: Arc<Noted>) -> App {
    let db = sqlite::open("sqlite::memory:", &MIGRATIONS).await.unwrap();
    let clock = clock::system();
    let outbox = Arc::new(SqliteOutbox::open(db.clone(), clock.clone()).await.unwrap());
    let store = Arc::new(SqliteStore::new(db, Wake::default()));
    let rotation = Rotation { every: Duration::days(30), ahead: Duration::DAY, after: Duration::HOUR };
    let short = std::time::Duration::from_secs(1);
    App::new(Parts {
        accounts: store.clone(),
        sessions: store.clone(),
        outbox,
        passwords,
        orders: Arc::new(NeverSettled),
        keys: Arc::new(KeyRing::open(store, clock.clone(), rotation).await.unwrap()),
        cache: Cache::new("user", Arc::new(cache::Memory::new(clock::system())), cache::Policy::default()),
        clock,
        session: SessionPolicy { access: short, refresh: short },
        closing: ClosingPolicy { at_once: short, backoff_min: short, backoff_max: short, poll: short },
    })
}

#[tokio::test]
async fn every_login_verifies_one_hash() {
    let passwords = Arc::new(Noted::default());
    let app = app(Arc::clone(&passwords)).await;
    let email = |text: &str| Email::parse(text).ok();
    let (ada, password) = (email("ada@example.com"), Password::attempt("correct horse"));
    let name = Name::parse("Ada").unwrap();
    let account = app.register(ada.clone().unwrap(), name, password.clone()).await.unwrap();

    assert!(app.log_in(ada.clone(), password.clone()).await.is_ok());
    let refused = |result: Result<user::app::Grant, Error>| assert!(matches!(result, Err(Error::WrongCredentials)));
    refused(app.log_in(ada.clone(), Password::attempt("wrong")).await);
    refused(app.log_in(email("eve@example.com"), password.clone()).await);
    refused(app.log_in(email("no address"), password.clone()).await);
    app.close_account(account.id, Expected::any()).await.unwrap();
    refused(app.log_in(ada, password).await);
    assert_eq!(*passwords.0.lock().unwrap(), [true, true, false, false, true]);
    assert!(account.created_at <= OffsetDateTime::now_utc());
}
