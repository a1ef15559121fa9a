//! The stores of one adapter that the cases run on, and short forms of what they do often.

use std::sync::Arc;

use messaging::{Event, Outbox, Receipt, Wake};
use time::{OffsetDateTime, macros::datetime};
use user::{
    adapters::{
        postgres::{self, PostgresStore},
        sqlite::{MIGRATIONS, SqliteStore},
    },
    app::{
        ports::{
            Accounts, AuditTrail, Closings, MailTokens, NewSession, Notifications, Renewal, Renewed, Saved, Session,
            Sessions, SigningKeys, TokenHash,
        },
        published,
    },
    domain::{Account, DomainEvent, Email, Name, PasswordHash, Role, SessionId, UserId},
};
use uuid::Uuid;

pub(crate) const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05.678901 UTC);

/// One adapter's stores, empty.
pub(crate) struct Stores {
    pub(crate) accounts: Arc<dyn Accounts>,
    pub(crate) closings: Arc<dyn Closings>,
    pub(crate) sessions: Arc<dyn Sessions>,
    pub(crate) keys: Arc<dyn SigningKeys>,
    pub(crate) mail_tokens: Arc<dyn MailTokens>,
    pub(crate) notifications: Arc<dyn Notifications>,
    pub(crate) audit_trail: Arc<dyn AuditTrail>,
    pub(crate) outbox: Arc<dyn Outbox>,
    database: Database,
    _folder: Option<testkit::TempDir>,
}

/// The database itself.
enum Database {
    Sqlite(sqlite::Database),
    Postgres(::postgres::Pool),
}

impl Stores {
    pub(crate) async fn sqlite_in_memory() -> Self {
        Self::sqlite("sqlite::memory:", None).await
    }

    pub(crate) async fn sqlite_in_a_file() -> Self {
        let folder = testkit::temp_dir();
        Self::sqlite(&testkit::sqlite_url(&folder, "user.db"), Some(folder)).await
    }

    async fn sqlite(url: &str, folder: Option<testkit::TempDir>) -> Self {
        let db = sqlite::open(url, &MIGRATIONS).await.unwrap();
        let outbox = ::sqlite::Outbox::open(db.clone(), clock::system()).await.unwrap();
        Self::of(SqliteStore::new(db.clone(), Wake::default()), outbox, Database::Sqlite(db), folder)
    }

    /// `None` where there is no server.
    pub(crate) async fn postgres() -> Option<Self> {
        let url = testkit::servers::Postgres::shared().await?.database().await;
        let pool = ::postgres::open(&url, "user", &postgres::MIGRATIONS, true).await.unwrap();
        let outbox = ::postgres::Outbox::new(pool.clone());
        Some(Self::of(PostgresStore::new(pool.clone(), Wake::default()), outbox, Database::Postgres(pool), None))
    }

    fn of<S>(store: S, outbox: impl Outbox + 'static, database: Database, folder: Option<testkit::TempDir>) -> Self
    where
        S: Accounts + AuditTrail + Closings + MailTokens + Notifications + Sessions + SigningKeys + Clone + 'static,
    {
        Self {
            accounts: Arc::new(store.clone()),
            closings: Arc::new(store.clone()),
            sessions: Arc::new(store.clone()),
            keys: Arc::new(store.clone()),
            mail_tokens: Arc::new(store.clone()),
            notifications: Arc::new(store.clone()),
            audit_trail: Arc::new(store),
            outbox: Arc::new(outbox),
            database,
            _folder: folder,
        }
    }

    /// Stores an account with this address.
    pub(crate) async fn add(&self, address: &str) -> Account {
        match self.try_add(address).await {
            Saved::Stored(account) => account,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn try_add(&self, address: &str) -> Saved {
        let account = Account::register(UserId(Uuid::now_v7()), email(address), name("Ada"), NOW);
        self.accounts.add(&account, &hash(), &effects(DomainEvent::Registered, account.id)).await.unwrap()
    }

    /// Begins a session with this token, valid for an hour.
    pub(crate) async fn open(&self, user: UserId, token: TokenHash) -> SessionId {
        let new = new_session(user, token, hash());
        assert!(self.sessions.open(&new).await.unwrap());
        new.session.id
    }

    /// Exchanges a token for another one, valid for an hour. The seed tells whose successor it is.
    pub(crate) async fn renew(&self, token: TokenHash, successor: TokenHash) -> Option<Renewed> {
        self.renew_at(NOW, token, successor).await
    }

    pub(crate) async fn renew_at(
        &self,
        now: OffsetDateTime,
        token: TokenHash,
        successor: TokenHash,
    ) -> Option<Renewed> {
        let renewal = Renewal { token, successor, seed: successor, now, expires_at: now + time::Duration::HOUR };
        self.sessions.renew(&renewal).await.unwrap()
    }

    /// Begins to close an account.
    pub(crate) async fn begin_closing(&self, account: &Account, due_at: OffsetDateTime) -> Saved {
        let mut account = account.clone();
        assert!(account.begin_closing(NOW));
        self.closings.begin(&account, due_at).await.unwrap()
    }

    /// Ends the closing of an account.
    pub(crate) async fn finish_closing(&self, account: &Account) -> Saved {
        self.finish_closing_with(account, None).await
    }

    /// The same, with a mail that tells of it.
    pub(crate) async fn finish_closing_with(&self, account: &Account, task: Option<&Event>) -> Saved {
        let mut account = account.clone();
        assert!(account.finish_closing(NOW));
        self.closings.finish(&account, task, &effects(DomainEvent::Closed, account.id)).await.unwrap()
    }

    /// The statement for the database that these stores are in.
    pub(crate) fn only_on(&self, postgres: &'static str, sqlite: &'static str) -> &'static str {
        match self.database {
            Database::Sqlite(_) => sqlite,
            Database::Postgres(_) => postgres,
        }
    }

    /// Runs a statement that no port has.
    pub(crate) async fn execute(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        match &self.database {
            Database::Sqlite(db) => sqlx::query(sql).execute(&db.write).await.map(drop),
            Database::Postgres(pool) => sqlx::query(sql).execute(pool).await.map(drop),
        }
    }

    /// The kinds of the events that wait to be published.
    pub(crate) async fn outbox_kinds(&self) -> Vec<String> {
        let claimed = self.outbox.claim("test", 100).await.unwrap();
        claimed.into_iter().map(|row| row.event.kind).collect()
    }
}

pub(crate) fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn hash() -> PasswordHash {
    PasswordHash::new("$argon2id$stored".to_owned())
}

pub(crate) fn new_session(user: UserId, token: TokenHash, password: PasswordHash) -> NewSession {
    let session = Session { id: SessionId(Uuid::now_v7()), user, role: Role::Customer };
    NewSession { session, token, password, now: NOW, expires_at: NOW + time::Duration::HOUR }
}

pub(crate) fn effects(event: DomainEvent, id: UserId) -> messaging::Effects {
    published::effects(event, id, NOW).unwrap()
}

pub(crate) fn receipt() -> Receipt {
    Receipt { consumer: "user", event_id: Uuid::now_v7() }
}

pub(crate) fn stored(saved: Saved) -> Account {
    match saved {
        Saved::Stored(account) => account,
        other => panic!("{other:?}"),
    }
}
