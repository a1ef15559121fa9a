//! The use cases over SQLite in memory, without the service around them: each step is the test's, and so is the clock.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use cache::Cache;
use futures::future::BoxFuture;
use messaging::Wake;
use testkit::ManualClock;
use time::Duration;
use tokio::sync::Notify;
use user::{
    adapters::{
        log_mail::LogMail,
        sqlite::{MIGRATIONS, SqliteStore},
    },
    app::{
        App, Attempts, ClosingPolicy, KeyRing, MailQueue, SessionPolicy,
        mail_queue::Jobs,
        ports::{Mails, OrderError, Orders, PasswordError, Passwords},
    },
    domain::{Account, Email, Name, Password, PasswordHash, Rotation, UserId},
};

pub(crate) const PASSWORD: &str = "correct horse";

/// What closings wait after the first attempt.
pub(crate) const BACKOFF: std::time::Duration = std::time::Duration::from_secs(1);

/// The use cases, and what they run on.
pub(crate) struct UseCases {
    pub(crate) app: Arc<App>,
    pub(crate) clock: ManualClock,
    pub(crate) database: sqlite::Database,
    pub(crate) passwords: Arc<RecordingPasswords>,
    pub(crate) orders: Arc<ScriptedOrders>,
}

impl UseCases {
    pub(crate) async fn new() -> Self {
        Self::mailing(Arc::new(LogMail::open("log:").unwrap())).await.0
    }

    /// With a server of mail, and what waits for it.
    pub(crate) async fn mailing(mails: Arc<dyn Mails>) -> (Self, Jobs) {
        let (mail_queue, jobs) = MailQueue::new();
        let database = sqlite::open("sqlite::memory:", &MIGRATIONS).await.unwrap();
        let clock = ManualClock::at_now();
        let outbox = Arc::new(sqlite::Outbox::open(database.clone(), clock.shared()).await.unwrap());
        let store = Arc::new(SqliteStore::new(database.clone(), Wake::default()));
        let rotation =
            Rotation { every: Duration::days(30), publish_ahead: Duration::DAY, publish_after: Duration::HOUR };
        let (passwords, orders) = (Arc::new(RecordingPasswords::default()), Arc::new(ScriptedOrders::default()));
        let app = App {
            accounts: store.clone(),
            closings: store.clone(),
            sessions: store.clone(),
            audit_trail: store.clone(),
            mail_tokens: store.clone(),
            notifications: store.clone(),
            notifies: true,
            mails,
            mail_queue,
            outbox,
            attempts: Attempts::new(Arc::new(limit::Memory::default())),
            passwords: passwords.clone(),
            orders: orders.clone(),
            keys: Arc::new(KeyRing::open(store, clock.shared(), rotation).await.unwrap()),
            cache: Cache::new("user", Arc::new(cache::Memory::new(clock::system())), cache::Policy::default()),
            clock: clock.shared(),
            session: SessionPolicy { access: BACKOFF, refresh: BACKOFF },
            closing: ClosingPolicy {
                inline_timeout: std::time::Duration::from_secs(30),
                backoff_min: BACKOFF,
                backoff_max: BACKOFF * 60,
                poll_interval: BACKOFF,
            },
            closing_due: Notify::new(),
        };
        (Self { app: Arc::new(app), clock, database, passwords, orders }, jobs)
    }

    pub(crate) async fn register(&self, address: &str) -> Account {
        let name = Name::parse("Ada").unwrap();
        self.app.register(email(address).unwrap(), name, Password::attempt(PASSWORD), None).await.unwrap()
    }

    /// Whether a closing is due now. One that is stays so, but counts as claimed once more.
    pub(crate) async fn is_closing_due(&self) -> bool {
        let now = self.app.clock.now();
        !self.app.closings.claim_due(now, now, 1).await.unwrap().is_empty()
    }
}

pub(crate) fn email(text: &str) -> Option<Email> {
    Email::parse(text).ok()
}

/// What happens elsewhere while a port is called.
#[derive(Default)]
pub(crate) struct Meanwhile(Mutex<Option<Event>>);

type Event = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

impl Meanwhile {
    pub(crate) fn set(&self, event: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(event));
    }

    async fn happens(&self) {
        let event = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|event| event());
        if let Some(event) = event {
            event.await;
        }
    }
}

/// Records whether each verification had a hash.
#[derive(Default)]
pub(crate) struct RecordingPasswords {
    pub(crate) with_hash: Mutex<Vec<bool>>,
    pub(crate) meanwhile: Meanwhile,
    /// As where too many wait to be verified.
    pub(crate) is_full: AtomicBool,
}

#[async_trait]
impl Passwords for RecordingPasswords {
    async fn hash(&self, password: Password, _: Option<IpAddr>) -> Result<PasswordHash, PasswordError> {
        Ok(PasswordHash::new(password.expose().to_owned()))
    }

    async fn verify(
        &self,
        password: Password,
        hash: Option<PasswordHash>,
        _: Option<IpAddr>,
    ) -> Result<bool, PasswordError> {
        self.with_hash.lock().unwrap().push(hash.is_some());
        self.meanwhile.happens().await;
        if self.is_full.load(Ordering::Relaxed) {
            return Err(PasswordError::QueueFull);
        }
        Ok(hash.is_some_and(|hash| hash.expose() == password.expose()))
    }
}

/// Answers with a number of open orders and counts the calls.
#[derive(Default)]
pub(crate) struct ScriptedOrders {
    pub(crate) open: AtomicU64,
    pub(crate) calls: AtomicU64,
    pub(crate) meanwhile: Meanwhile,
}

impl ScriptedOrders {
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Orders for ScriptedOrders {
    async fn close_account(&self, _: UserId) -> Result<u64, OrderError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.meanwhile.happens().await;
        Ok(self.open.load(Ordering::SeqCst))
    }
}
