//! A login takes the same way whatever is wrong: one hash is verified.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cache::Cache;
use clock::SharedClock;
use messaging::Wake;
use testkit::ManualClock;
use time::Duration;
use tokio::sync::Notify;
use user::{
    adapters::sqlite::{MIGRATIONS, SqliteStore},
    app::{
        App, ClosingPolicy, Error, Expected, KeyRing, SessionPolicy, TokenPair,
        ports::{OrderError, Orders, PasswordError, Passwords},
    },
    domain::{Email, Name, Password, PasswordHash, Rotation, UserId},
};

/// Records whether each verification had a hash.
#[derive(Default)]
struct RecordingPasswords(Mutex<Vec<bool>>);

#[async_trait]
impl Passwords for RecordingPasswords {
    async fn hash(&self, password: Password) -> Result<PasswordHash, PasswordError> {
        Ok(PasswordHash::new(password.expose().to_owned()))
    }

    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<bool, PasswordError> {
        self.0.lock().unwrap().push(hash.is_some());
        Ok(hash.is_some_and(|hash| hash.expose() == password.expose()))
    }
}

/// Has one order that is never settled.
struct NeverSettled;

#[async_trait]
impl Orders for NeverSettled {
    async fn close_account(&self, _: UserId) -> Result<u64, OrderError> {
        Ok(1)
    }
}

async fn app(passwords: Arc<RecordingPasswords>, clock: SharedClock) -> App {
    let db = sqlite::open("sqlite::memory:", &MIGRATIONS).await.unwrap();
    let outbox = Arc::new(sqlite::Outbox::open(db.clone(), clock.clone()).await.unwrap());
    let store = Arc::new(SqliteStore::new(db, Wake::default()));
    let rotation = Rotation { every: Duration::days(30), publish_ahead: Duration::DAY, publish_after: Duration::HOUR };
    let short = std::time::Duration::from_secs(1);
    App {
        accounts: store.clone(),
        closings: store.clone(),
        sessions: store.clone(),
        outbox,
        passwords,
        orders: Arc::new(NeverSettled),
        keys: Arc::new(KeyRing::open(store, clock.clone(), rotation).await.unwrap()),
        cache: Cache::new("user", Arc::new(cache::Memory::new(clock::system())), cache::Policy::default()),
        clock,
        session: SessionPolicy { access: short, refresh: short },
        closing: ClosingPolicy { inline_timeout: short, backoff_min: short, backoff_max: short, poll_interval: short },
        closing_due: Notify::new(),
    }
}

#[tokio::test]
async fn every_login_verifies_one_hash() {
    let passwords = Arc::new(RecordingPasswords::default());
    let clock = ManualClock::at_now();
    let app = app(Arc::clone(&passwords), clock.shared()).await;
    let email = |text: &str| Email::parse(text).ok();
    let (ada, password) = (email("ada@example.com"), Password::attempt("correct horse"));
    let name = Name::parse("Ada").unwrap();
    let account = app.register(ada.clone().unwrap(), name, password.clone()).await.unwrap();

    assert!(app.log_in(ada.clone(), password.clone()).await.is_ok());
    let refused = |result: Result<TokenPair, Error>| assert!(matches!(result, Err(Error::WrongCredentials)));
    refused(app.log_in(ada.clone(), Password::attempt("wrong")).await);
    refused(app.log_in(email("eve@example.com"), password.clone()).await);
    refused(app.log_in(email("no address"), password.clone()).await);
    app.close_account(account.id, Expected::any()).await.unwrap();
    refused(app.log_in(ada, password).await);
    assert_eq!(*passwords.0.lock().unwrap(), [true, true, false, false, true]);
    assert_eq!(account.created_at, clock::Clock::now(&clock));
}
