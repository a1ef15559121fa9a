//! Calls of the driver, and what it tells of its connections, as spans and metrics.

use std::{
    cell::RefCell,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use mongodb_driver::{
    error::{ErrorKind, WriteFailure},
    event::{EventHandler, cmap::CmapEvent},
    options::ClientOptions,
};
use opentelemetry::{
    KeyValue,
    metrics::{Counter, UpDownCounter},
};
use semconv::{attributes, metrics};
use telemetry::DatabaseCall;
use tokio::time::{error::Elapsed, timeout};

use crate::Error;

const SYSTEM: &str = "mongodb";

static PENDING: LazyLock<UpDownCounter<i64>> =
    LazyLock::new(|| metrics::DB_CLIENT_CONNECTION_PENDING_REQUESTS.instrument());
static TIMEOUTS: LazyLock<Counter<u64>> = LazyLock::new(|| metrics::DB_CLIENT_CONNECTION_TIMEOUTS.instrument());

/// Has every connection of a client measured; the pool is called `name`.
pub(crate) fn measure(options: &mut ClientOptions, name: &str) {
    let pool = Arc::new(Pool::new(name, options.max_pool_size.unwrap_or_default()));
    pool.observe();
    options.cmap_event_handler = Some(EventHandler::callback(move |event| pool.saw(&event)));
}

/// Measures a call, under that summary.
///
/// Here and not by the driver's events of commands: for these it copies each command and each reply, and makes a tree of values
/// of them.
pub(crate) async fn call<T>(summary: &str, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let mut measured = DatabaseCall::begin(SYSTEM, summary);
    let answer = call.await;
    measured.ended(answer.as_ref().err().map(failure));
    answer
}

/// The server's code, where there is one.
fn failure(error: &Error) -> String {
    let Error::Driver(error) = error else { return "timeout".to_owned() };
    match &*error.kind {
        ErrorKind::Command(error) => error.code.to_string(),
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code.to_string(),
        ErrorKind::Io(_) => "io".to_owned(),
        _ => "_OTHER".to_owned(),
    }
}

/// The connections of a client.
struct Pool {
    name: KeyValue,
    max: u32,
    open: AtomicI64,
    used: AtomicI64,
}

impl Pool {
    fn new(name: &str, max: u32) -> Self {
        let name = attributes::DB_POOL_NAME.of(name.to_owned());
        Self { name, max, open: AtomicI64::default(), used: AtomicI64::default() }
    }

    fn observe(self: &Arc<Self>) {
        // From nothing, so that the first one is a rise.
        TIMEOUTS.add(0, std::slice::from_ref(&self.name));
        let (max, count) = (Arc::clone(self), Arc::clone(self));
        metrics::DB_CLIENT_CONNECTION_MAX
            .observe(move |observer| observer.observe(max.max.into(), std::slice::from_ref(&max.name)));
        metrics::DB_CLIENT_CONNECTION_COUNT.observe(move |observer| {
            let (open, used) = (count.open.load(Ordering::Relaxed), count.used.load(Ordering::Relaxed));
            for (state, connections) in [("idle", open - used), ("used", used)] {
                observer.observe(connections, &[count.name.clone(), attributes::DB_CONNECTION_STATE.of(state)]);
            }
        });
    }

    fn saw(&self, event: &CmapEvent) {
        match event {
            CmapEvent::ConnectionReady(_) => _ = self.open.fetch_add(1, Ordering::Relaxed),
            CmapEvent::ConnectionClosed(_) => {
                // One that never was ready is closed, too.
                let fewer = |open: i64| Some((open - 1).max(0));
                let _ = self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
            }
            CmapEvent::ConnectionCheckoutStarted(_) => _ = WAIT.try_with(|wait| wait.begin(&self.name)),
            CmapEvent::ConnectionCheckedOut(_) => {
                let _ = WAIT.try_with(Wait::end);
                self.used.fetch_add(1, Ordering::Relaxed);
            }
            CmapEvent::ConnectionCheckedIn(_) => _ = self.used.fetch_sub(1, Ordering::Relaxed),
            CmapEvent::ConnectionCheckoutFailed(_) => _ = WAIT.try_with(Wait::end),
            _ => {}
        }
    }
}

tokio::task_local! {
    /// What the call that is under way waits for.
    static WAIT: Wait;
}

/// The pool that a call waits for a connection of, for as long as it does. The driver has no limit for that and does not say
/// when a call was given up meanwhile.
#[derive(Default)]
struct Wait(RefCell<Option<KeyValue>>);

impl Wait {
    fn begin(&self, pool: &KeyValue) {
        PENDING.add(1, std::slice::from_ref(pool));
        self.0.replace(Some(pool.clone()));
    }

    /// Says of which pool it was.
    fn end(&self) -> Option<KeyValue> {
        let pool = self.0.take()?;
        PENDING.add(-1, std::slice::from_ref(&pool));
        Some(pool)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits for a call for so long. When it has had no connection by then, none was free in time.
///
/// # Errors
///
/// The time is up.
pub(crate) async fn within<T>(limit: Duration, call: impl Future<Output = T>) -> Result<T, Elapsed> {
    let waited = async {
        let answer = timeout(limit, call).await;
        if answer.is_err()
            && let Some(pool) = WAIT.with(Wait::end)
        {
            TIMEOUTS.add(1, &[pool]);
        }
        answer
    };
    WAIT.scope(Wait::default(), waited).await
}
