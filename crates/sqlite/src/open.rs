//! The settings of a connection, and the migrations.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, SqlitePool};

use crate::location::{InUse, Location};
use crate::{Database, Pool};

/// How long a statement waits for another process' write lock, and a caller for a connection.
const WAIT: Duration = Duration::from_secs(5);
/// How many connections read at once.
const READERS: u32 = 4;
/// KiB of page cache a connection; the operating system caches the file anyway, and memory is dear (15 MiB a service).
const CACHE_KIB: u32 = 512;
/// The write-ahead log is cut back to this after a burst.
const JOURNAL_BYTES: u32 = 8 << 20;
/// Prepared statements kept per connection.
const STATEMENTS: usize = 64;

/// A database that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none of ours.
    #[error("`{0}` is no SQLite address: write sqlite://PATH or sqlite::memory:")]
    Url(String),
    /// The file or its folder cannot be made.
    #[error("cannot make the database file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// SQLite refuses the file.
    #[error("cannot open the database {url}")]
    Open {
        /// The address.
        url: String,
        /// Why.
        source: sqlx::Error,
    },
    /// The schema cannot be brought up to date.
    #[error("cannot bring the schema of {url} up to date")]
    Migrate {
        /// The address.
        url: String,
        /// Why.
        source: MigrateError,
    },
}

/// Opens the database and brings its schema up to date; several processes may do so at the same time.
/// An older binary keeps working on a newer schema.
///
/// `url` is `sqlite://PATH`, whose file and folder are made when missing, or `sqlite::memory:`.
/// Each opening of the latter is a database of its own.
///
/// What is committed survives the death of the process at any point. A power failure never harms the file, but may take
/// back the commits of the last moments; with `sqlite://PATH?synchronous=full` each commit waits for the disk and
/// survives that too.
///
/// # Errors
///
/// When the URL, the file or the schema cannot be used.
pub async fn open(url: &str, migrations: &Migrator) -> Result<Database, Error> {
    let failed = |source| Error::Open { url: url.to_owned(), source };
    let database = match Location::parse(url).ok_or_else(|| Error::Url(url.to_owned()))? {
        Location::Memory => memory().await.map_err(failed)?,
        Location::File { path, full } => {
            Location::prepare(&path).map_err(|source| Error::File { path: path.clone(), source })?;
            file(&path, full).await.map_err(failed)?
        }
    };
    migrate(&database, migrations).await.map_err(|source| Error::Migrate { url: url.to_owned(), source })?;
    Ok(database)
}

async fn memory() -> Result<Database, sqlx::Error> {
    // A plain `:memory:` belongs to its connection: one connection that never goes away is the database.
    let options = common(SqliteConnectOptions::new().filename(":memory:"));
    let pool = Pool::new(pool(1).connect_with(options).await?, "memory".to_owned());
    Ok(Database { read: pool.clone(), write: pool })
}

async fn file(path: &Path, full: bool) -> Result<Database, sqlx::Error> {
    // Measured on ext4: a commit of one row takes 30 µs with NORMAL and 280 µs with FULL, four times the CPU as well.
    let synchronous = if full { SqliteSynchronous::Full } else { SqliteSynchronous::Normal };
    let options = common(SqliteConnectOptions::new().filename(path))
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .pragma("journal_size_limit", JOURNAL_BYTES.to_string());
    let write = first(&options).await?;
    let read = pool(READERS).connect_lazy_with(options.pragma("query_only", "ON"));
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let in_use = InUse::of(path)?;
    let measured = |pool, what| {
        let in_use = in_use.clone();
        Pool::new(pool, format!("{name}.{what}")).with_check(move || Ok(in_use.check()?))
    };
    Ok(Database { read: measured(read, "read"), write: measured(write, "write") })
}

fn common(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .foreign_keys(true)
        .busy_timeout(WAIT)
        .statement_cache_capacity(STATEMENTS)
        .pragma("cache_size", format!("-{CACHE_KIB}"))
        .pragma("temp_store", "MEMORY")
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(WAIT)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// The pool of the one connection that writes.
///
/// A transaction that SQLite has ended by itself, because the disk was full, cannot be rolled back, and sqlx takes it for
/// open ever after: such a connection goes, and the next write opens another.
fn writer() -> SqlitePoolOptions {
    pool(1).after_release(|connection, _| {
        Box::pin(async move {
            if connection.is_in_transaction() {
                // A rollback may be on its way: what is asked comes behind it.
                connection.ping().await?;
            }
            Ok(!connection.is_in_transaction())
        })
    })
}

/// Opens the writing connection.
///
/// Switching a new file to the write-ahead log needs the file for a moment alone, and SQLite does not wait for that:
/// when another process opens it too, this one tries again.
async fn first(options: &SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    let started = tokio::time::Instant::now();
    loop {
        match writer().connect_with(options.clone()).await {
            Err(error) if is_busy(&error) && started.elapsed() < WAIT => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            result => return result,
        }
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    // Primary result codes: 5 is SQLITE_BUSY, 6 SQLITE_LOCKED; the rest of the number is the extension.
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .and_then(|code| code.parse::<u32>().ok())
        .is_some_and(|code| matches!(code & 0xff, 5 | 6))
}

/// Brings the schema up to date in one transaction, so that of several processes one does it and the others wait.
/// Migrations that this program does not know are left alone: a newer one has been here.
async fn migrate(database: &Database, migrations: &Migrator) -> Result<(), MigrateError> {
    let mut known = Migrator::with_migrations(migrations.iter().cloned().collect());
    known.set_ignore_missing(true);
    let mut tx = database.begin().await?;
    // `run` itself gives a future that cannot be sent between threads (its `Acquire` bound is not general enough).
    known.run_direct(None, &mut *tx, false).await?;
    tx.commit().await?;
    Ok(())
}
