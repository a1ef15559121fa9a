//! Connections on loan: one that has just answered well is handed on as it is.
//!
//! By itself sqlx makes sure of a connection by two round trips for each use: it pings what is given back, and checks what is
//! taken (`before_acquire`). A statement is one. So a connection that was made sure of less than a second ago and whose last
//! statement succeeded stays here for the next caller; any other goes back to sqlx, but for one that is of no use any more:
//! that is closed.

use std::{
    fmt, io,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{Connection as _, Database, Error, Pool, pool::PoolConnection};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

/// How long a connection is trusted after sqlx has made sure of it; so a server that takes no writes any more, or a
/// connection that is too old, is found out within this time however busy it is.
const TRUST: Duration = Duration::from_secs(1);
/// How long a connection may take to answer when it is given back: something may still be under way on it.
const ANSWER: Duration = Duration::from_secs(5);
/// How long one may take that was idle, where a network is in between, which may have forgotten it.
const IDLE_ANSWER: Duration = Duration::from_secs(1);

/// Lends the connections of a pool.
pub(crate) struct Lender<DB: Database> {
    /// A permit for each connection that the pool may have. Whoever waits does so here, in the order of asking, and
    /// not inside sqlx, which does not see what is kept.
    permits: Arc<Semaphore>,
    most: u32,
    wait: Duration,
    kept: Mutex<Vec<Trusted<DB>>>,
    /// Whether something on a connection has not ended well since [`Self::take_doubt`].
    doubt: AtomicBool,
}

struct Trusted<DB: Database> {
    connection: PoolConnection<DB>,
    since: Instant,
}

impl<DB: Database> Trusted<DB> {
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < TRUST
    }
}

/// A connection on loan from a [`Pool`](crate::Pool).
pub struct Lent<DB: Database> {
    /// Until this is dropped.
    trusted: Option<Trusted<DB>>,
    condition: Condition,
    lender: Arc<Lender<DB>>,
    _permit: OwnedSemaphorePermit,
}

/// What is known of a connection on loan.
#[derive(Debug)]
pub(crate) struct Condition {
    /// How long an answer may take.
    limit: Option<Duration>,
    /// Whether the last statement ended well and nothing is open.
    clean: bool,
    /// Whether nothing can be done on it any more.
    broken: bool,
}

impl Condition {
    /// Waits for an answer no longer than the limit: a server whose answer was lost on its way would be waited for for ever.
    pub(crate) async fn limited<T>(&mut self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let answer = match self.limit {
            Some(limit) => {
                timeout(limit, answer).await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
            }
            None => answer.await,
        };
        self.broken |= answer.as_ref().is_err_and(is_end);
        answer
    }

    /// The connection is handed on as it is where this is a good answer, and nothing comes after it.
    pub(crate) fn answered<T>(&mut self, answer: &Result<T, Error>) {
        self.clean = answer.is_ok();
    }
}

/// Whether the connection is of no use after this error: nobody answers on it, or what it has prepared is not what the server
/// has. These are PostgreSQL's 0A000 (the columns of a cached plan have changed), 26000 (not prepared) and 42P05 (prepared
/// already).
fn is_end(error: &Error) -> bool {
    match error {
        Error::Io(_) => true,
        Error::Database(error) => matches!(error.code().as_deref(), Some("0A000" | "26000" | "42P05")),
        _ => false,
    }
}

impl<DB: Database> Lender<DB> {
    pub(crate) fn new(pool: &Pool<DB>) -> Self {
        let most = pool.options().get_max_connections();
        let permits = Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS)));
        let wait = pool.options().get_acquire_timeout();
        Self { permits, most, wait, kept: Mutex::default(), doubt: AtomicBool::new(true) }
    }

    /// How many connections are lent.
    pub(crate) fn lent(&self) -> u32 {
        self.most.saturating_sub(u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX))
    }

    /// Whether something has not ended well since this was asked last; true the first time.
    pub(crate) fn take_doubt(&self) -> bool {
        self.doubt.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn doubt(&self) {
        self.doubt.store(true, Ordering::Relaxed);
    }

    /// Waits for a connection of the pool that this lends, whose answers may take so long.
    pub(crate) async fn lend(self: &Arc<Self>, pool: &Pool<DB>, limit: Option<Duration>) -> Result<Lent<DB>, Error> {
        let lent = async {
            let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| Error::PoolClosed)?;
            let trusted = match self.take(limit.map_or(ANSWER, |_| IDLE_ANSWER)) {
                Some(trusted) => trusted,
                None => Trusted { connection: pool.acquire().await?, since: Instant::now() },
            };
            let condition = Condition { limit, clean: false, broken: false };
            Ok(Lent { trusted: Some(trusted), condition, lender: Arc::clone(self), _permit: permit })
        };
        timeout(self.wait, lent).await.unwrap_or(Err(Error::PoolTimedOut))
    }

    /// Lends nothing any more, and keeps nothing.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.kept().drain(..).for_each(|trusted| give_back(trusted.connection, ANSWER));
    }

    /// One that can be trusted; the others go back, if they answer in time.
    fn take(&self, answer: Duration) -> Option<Trusted<DB>> {
        let mut kept = self.kept();
        kept.extract_if(.., |trusted| !trusted.is_fresh()).for_each(|trusted| give_back(trusted.connection, answer));
        kept.pop()
    }

    fn keep(&self, trusted: Trusted<DB>) {
        if trusted.is_fresh() && !self.permits.is_closed() {
            self.kept().push(trusted);
        } else {
            give_back(trusted.connection, ANSWER);
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Trusted<DB>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a connection back to sqlx, if it answers in time: sqlx itself would wait for that as long as the network lets it, and the pool
/// would have one less meanwhile.
fn give_back<DB: Database>(mut connection: PoolConnection<DB>, answer: Duration) {
    let Ok(runtime) = Handle::try_current() else { return drop(connection.detach()) };
    runtime.spawn(async move {
        if !timeout(answer, connection.ping()).await.is_ok_and(|answer| answer.is_ok()) {
            drop(connection.detach());
        }
    });
}

impl<DB: Database> Drop for Lender<DB> {
    fn drop(&mut self) {
        self.kept().drain(..).for_each(|trusted| drop(trusted.connection.detach()));
    }
}

impl<DB: Database> fmt::Debug for Lender<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lender").finish_non_exhaustive()
    }
}

impl<DB: Database> Lent<DB> {
    /// The connection, and what becomes known of it meanwhile.
    #[expect(clippy::expect_used, reason = "it is taken out when this is dropped")]
    pub(crate) fn parts(&mut self) -> (&mut DB::Connection, &mut Condition) {
        (&mut self.trusted.as_mut().expect("lent").connection, &mut self.condition)
    }
}

impl<DB: Database> Drop for Lent<DB> {
    fn drop(&mut self) {
        if !self.condition.clean {
            self.lender.doubt();
        }
        match self.trusted.take() {
            Some(trusted) if self.condition.broken => drop(trusted.connection.detach()),
            Some(trusted) if self.condition.clean => self.lender.keep(trusted),
            Some(trusted) => give_back(trusted.connection, ANSWER),
            None => {}
        }
    }
}

impl<DB: Database> fmt::Debug for Lent<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").finish_non_exhaustive()
    }
}

impl<DB: Database> Deref for Lent<DB> {
    type Target = DB::Connection;

    #[expect(clippy::expect_used, reason = "it is taken out when this is dropped")]
    fn deref(&self) -> &DB::Connection {
        &self.trusted.as_ref().expect("lent").connection
    }
}

impl<DB: Database> DerefMut for Lent<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        self.parts().0
    }
}
