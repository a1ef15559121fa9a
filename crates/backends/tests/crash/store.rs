//! The service's store, on SQLite and on PostgreSQL: a counter, and what was applied.

use std::sync::Arc;

use async_trait::async_trait;
use messaging::{Effects, Event, Outbox, Receipt, Recorded, Track};
use sqlx::migrate::Migrator;

use super::traps::Trap;
use super::worker::{KEYS, LEASE};

static NOTHING: Migrator = Migrator::DEFAULT;

#[async_trait]
pub(crate) trait Store: Send + Sync {
    fn outbox(&self) -> Arc<dyn Outbox>;
    /// Counts one further, in the transaction that records the event; false when all are counted.
    async fn count(&self, total: i64) -> Result<bool, anyhow::Error>;
    /// Applies an event once, and records the answer with it.
    async fn apply(&self, event: &Event, receipt: Receipt, trap: &Trap) -> Result<(), anyhow::Error>;
    /// All that was applied, in order.
    async fn applied(&self) -> Vec<Applied>;
}

#[derive(sqlx::FromRow)]
pub(crate) struct Applied {
    pub(crate) kind: String,
    pub(crate) key: String,
    pub(crate) number: i64,
    /// Whether the process that applied it was the canary.
    pub(crate) canary: bool,
}

/// Where there are tracks, half of the events of each key are marked for the canary.
pub(crate) fn is_marked(number: i64) -> bool {
    number.unsigned_abs() / KEYS % 2 == 1
}

/// Opens the store of a URL for a process, and makes what it needs.
pub(crate) async fn open(url: &str, track: Option<Track>) -> Arc<dyn Store> {
    if url.starts_with("postgres:") {
        let pool = postgres::open(url, "worker", &NOTHING, true).await.unwrap();
        let mut tx = pool.begin().await.unwrap();
        let schema = "SELECT pg_advisory_xact_lock(1);
            CREATE TABLE IF NOT EXISTS applied 
                (seq bigserial PRIMARY KEY, kind text, key text, number bigint, canary boolean);
            CREATE TABLE IF NOT EXISTS counter (one integer PRIMARY KEY, number bigint);
            INSERT INTO counter VALUES (1, 0) ON CONFLICT DO NOTHING;";
        sqlx::raw_sql(schema).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        let outbox = postgres::Outbox::new(pool.clone()).with_lease(LEASE);
        return Arc::new(Postgres { pool, outbox, track });
    }
    let database = sqlite::open(url, &NOTHING).await.unwrap();
    let mut tx = database.begin().await.unwrap();
    let schema = "CREATE TABLE IF NOT EXISTS applied (seq INTEGER PRIMARY KEY, kind, key, number, canary);
        CREATE TABLE IF NOT EXISTS counter (one INTEGER PRIMARY KEY, number INTEGER);
        INSERT INTO counter VALUES (1, 0) ON CONFLICT DO NOTHING;";
    sqlx::raw_sql(schema).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let outbox = sqlite::Outbox::open(database.clone(), clock::system()).await.unwrap().with_lease(LEASE);
    Arc::new(Sqlite { database, outbox, track })
}

fn counted(number: i64, track: Option<Track>) -> Result<Effects, messaging::Error> {
    let key = number.unsigned_abs() % KEYS;
    let mut event = Event::new("counted.v1", "worker", key, clock::system().now(), number)?;
    event.carrier.canary = track.is_some() && is_marked(number);
    Ok(Effects::of(vec![event]))
}

fn answer(event: &Event, number: i64, receipt: Receipt) -> Result<Effects, messaging::Error> {
    let mut effects = Effects::default().caused_by(receipt);
    if event.kind == "counted.v1" {
        effects.events.push(Event::new("heard.v1", "worker", &event.key, event.time, number)?);
    }
    Ok(effects)
}

struct Sqlite {
    database: sqlite::Database,
    outbox: sqlite::Outbox,
    track: Option<Track>,
}

#[async_trait]
impl Store for Sqlite {
    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(self.outbox.clone())
    }

    async fn count(&self, total: i64) -> Result<bool, anyhow::Error> {
        let mut tx = self.database.begin().await?;
        let number: i64 =
            sqlx::query_scalar("UPDATE counter SET number = number + 1 RETURNING number").fetch_one(&mut *tx).await?;
        if number > total {
            return Ok(false);
        }
        assert_eq!(sqlite::record(&mut tx, &counted(number, self.track)?).await?, Recorded::First);
        tx.commit().await?;
        Ok(true)
    }

    async fn apply(&self, event: &Event, receipt: Receipt, trap: &Trap) -> Result<(), anyhow::Error> {
        let number: i64 = event.decode()?;
        let mut tx = self.database.begin().await?;
        if sqlite::record(&mut tx, &answer(event, number, receipt)?).await? == Recorded::Duplicate {
            return Ok(());
        }
        sqlx::query("INSERT INTO applied (kind, key, number, canary) VALUES (?1, ?2, ?3, ?4)")
            .bind(&event.kind)
            .bind(&event.key)
            .bind(number)
            .bind(self.track == Some(Track::Canary))
            .execute(&mut *tx)
            .await?;
        trap.at("before commit");
        tx.commit().await?;
        trap.at("after commit");
        Ok(())
    }

    async fn applied(&self) -> Vec<Applied> {
        let rows = sqlx::query_as("SELECT kind, key, number, canary FROM applied ORDER BY seq");
        rows.fetch_all(&self.database.read).await.unwrap()
    }
}

struct Postgres {
    pool: postgres::Pool,
    outbox: postgres::Outbox,
    track: Option<Track>,
}

#[async_trait]
impl Store for Postgres {
    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(self.outbox.clone())
    }

    async fn count(&self, total: i64) -> Result<bool, anyhow::Error> {
        let mut tx = self.pool.begin().await?;
        // The counter's row is the lock under which events of all keys get their sequence numbers.
        let number: i64 =
            sqlx::query_scalar("UPDATE counter SET number = number + 1 RETURNING number").fetch_one(&mut *tx).await?;
        if number > total {
            return Ok(false);
        }
        assert_eq!(postgres::record(&mut tx, &counted(number, self.track)?).await?, Recorded::First);
        tx.commit().await?;
        Ok(true)
    }

    async fn apply(&self, event: &Event, receipt: Receipt, trap: &Trap) -> Result<(), anyhow::Error> {
        let number: i64 = event.decode()?;
        let mut tx = self.pool.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock(hashtext($1))").bind(&event.key).execute(&mut *tx).await?;
        if postgres::record(&mut tx, &answer(event, number, receipt)?).await? == Recorded::Duplicate {
            return Ok(());
        }
        sqlx::query("INSERT INTO applied (kind, key, number, canary) VALUES ($1, $2, $3, $4)")
            .bind(&event.kind)
            .bind(&event.key)
            .bind(number)
            .bind(self.track == Some(Track::Canary))
            .execute(&mut *tx)
            .await?;
        trap.at("before commit");
        tx.commit().await?;
        trap.at("after commit");
        Ok(())
    }

    async fn applied(&self) -> Vec<Applied> {
        let rows = sqlx::query_as("SELECT kind, key, number, canary FROM applied ORDER BY seq");
        rows.fetch_all(&self.pool).await.unwrap()
    }
}
