//! What the driver tells of its commands and connections, as spans and metrics.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use mongodb_driver::{
    error::{Error, ErrorKind},
    event::{
        EventHandler,
        cmap::CmapEvent,
        command::{CommandEvent, CommandStartedEvent},
    },
    options::ClientOptions,
};
use opentelemetry::{
    KeyValue,
    metrics::{Counter, UpDownCounter},
};
use semconv::{attributes, metrics};
use telemetry::DatabaseCall;
use tokio::time::{error::Elapsed, timeout};

const SYSTEM: &str = "mongodb";
/// Commands under way that are remembered: more than there can be connections.
const MAX_UNDER_WAY: usize = 10_000;

static PENDING: LazyLock<UpDownCounter<i64>> =
    LazyLock::new(|| metrics::DB_CLIENT_CONNECTION_PENDING_REQUESTS.instrument());
static TIMEOUTS: LazyLock<Counter<u64>> = LazyLock::new(|| metrics::DB_CLIENT_CONNECTION_TIMEOUTS.instrument());

/// Has every command and connection of a client measured; the pool is called `name`.
pub(crate) fn measure(options: &mut ClientOptions, name: &str) {
    let commands = Commands::default();
    options.command_event_handler = Some(EventHandler::callback(move |event| commands.saw(event)));
    let pool = Arc::new(Pool::new(name, options.max_pool_size.unwrap_or_default()));
    pool.observe();
    options.cmap_event_handler = Some(EventHandler::callback(move |event| pool.saw(&event)));
}

/// Commands under way, by their number.
#[derive(Default)]
struct Commands(Mutex<HashMap<i32, DatabaseCall>>);

impl Commands {
    fn saw(&self, event: CommandEvent) {
        match event {
            CommandEvent::Started(event) => self.started(&event),
            CommandEvent::Succeeded(event) => self.ended(event.request_id, None),
            CommandEvent::Failed(event) => self.ended(event.request_id, Some(&event.failure)),
            _ => {}
        }
    }

    fn started(&self, event: &CommandStartedEvent) {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.len() < MAX_UNDER_WAY {
            under_way.insert(event.request_id, DatabaseCall::begin(SYSTEM, summary(event)));
        }
    }

    fn ended(&self, request: i32, error: Option<&Error>) {
        let ended = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&request);
        if let Some(mut call) = ended {
            call.ended(error.map(failure));
        }
    }
}

/// The command and its collection: no value of it is shown.
fn summary(event: &CommandStartedEvent) -> String {
    // `getMore` has a number where others have the collection.
    let names = [event.command.get_str(&event.command_name), event.command.get_str("collection")];
    match names.into_iter().find_map(Result::ok) {
        Some(collection) => format!("{} {collection}", event.command_name),
        None => event.command_name.clone(),
    }
}

/// The server's code, where there is one.
fn failure(error: &Error) -> String {
    match &*error.kind {
        ErrorKind::Command(error) => error.code.to_string(),
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
