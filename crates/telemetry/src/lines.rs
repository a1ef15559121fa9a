//! Lines: which are written is changed while the process runs, and a line that repeats itself does not fill the disk.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use semconv::{attributes, metrics};
use tracing::{Event, Level, Metadata, callsite::Identifier};
use tracing_subscriber::{
    EnvFilter, Registry,
    layer::{Context, Filter},
    reload,
};

use crate::{Error, output::Output};

/// A filter that can be exchanged.
pub(crate) type Changing = reload::Layer<EnvFilter, Registry>;
type Handle = reload::Handle<EnvFilter, Registry>;

/// What is written, and how that is changed.
struct Levels {
    configured: String,
    current: Mutex<String>,
    handle: Handle,
}

static LEVELS: OnceLock<Levels> = OnceLock::new();

fn filter(words: &str) -> Result<EnvFilter, Error> {
    // Of the exporters, and of RabbitMQ's client, we say ourselves what is to be said: to that one each queue that is not
    // there yet is an error. Who looks for a fault in them turns theirs on.
    Ok(EnvFilter::try_new(format!("opentelemetry=off,lapin=off,{words}"))?)
}

/// The filter of lines and log records.
pub(crate) fn changing(words: &str) -> Result<Changing, Error> {
    let (events, handle) = reload::Layer::new(filter(words)?);
    let levels = Levels { configured: words.to_owned(), current: Mutex::new(words.to_owned()), handle };
    // Whoever starts telemetry a second time is refused by the subscriber.
    let _ = LEVELS.set(levels);
    Ok(events)
}

/// The filter of the lines that are written now; `None` before [`crate::init`].
pub fn log_filter() -> Option<String> {
    LEVELS.get().map(|levels| levels.current.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

/// Writes other lines from now on: a filter as of [`EnvFilter`], or with `None` the one of the configuration.
///
/// # Errors
///
/// It is no filter, or there was no [`crate::init`].
pub fn set_log_filter(words: Option<&str>) -> Result<(), Error> {
    let levels = LEVELS.get().ok_or(Error::NotStarted)?;
    let words = words.unwrap_or(&levels.configured);
    let mut current = levels.current.lock().unwrap_or_else(PoisonError::into_inner);
    levels.handle.reload(filter(words)?).map_err(|_| Error::NotStarted)?;
    words.clone_into(&mut current);
    Ok(())
}

/// Shows how many lines were not written; `out` counts those that nobody took, or that were refused.
pub(crate) fn observe(out: Output, repeats: Repeats) {
    metrics::LOG_LINES_DROPPED.observe(move |observer| {
        observer.observe(out.dropped(), &[attributes::ERROR_TYPE.of("queue_full")]);
        observer.observe(out.refused(), &[attributes::ERROR_TYPE.of("refused")]);
        observer.observe(repeats.0.left_out.load(Ordering::Relaxed), &[attributes::ERROR_TYPE.of("repeated")]);
    });
}

/// A statement's warnings are written this often in a [`WINDOW`].
const BURST: u32 = 20;
/// For this long it is counted how often a statement wrote.
const WINDOW: Duration = Duration::from_secs(10);

/// Lets a statement write no more than [`BURST`] warnings or errors in a [`WINDOW`], as the kernel's `printk_ratelimit`
/// does; how many were left out is on the statement's next line.
///
/// The statements of a program have a bound, and so has this.
#[derive(Clone, Debug, Default)]
pub(crate) struct Repeats(Arc<Statements>);

#[derive(Debug, Default)]
struct Statements {
    written: Mutex<HashMap<Identifier, Written>>,
    /// Of all of them, since the start.
    left_out: AtomicU64,
}

#[derive(Debug)]
struct Written {
    since: Instant,
    lines: u32,
    left_out: u64,
}

impl Repeats {
    /// Whether a statement may write now. Below warnings all may: a line for each request is wanted.
    fn may(&self, metadata: &Metadata<'_>, now: Instant) -> bool {
        if *metadata.level() > Level::WARN {
            return true;
        }
        let mut statements = self.0.written.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Written { since: now, lines: 0, left_out: 0 };
        let written = statements.entry(metadata.callsite()).or_insert(fresh);
        if now.duration_since(written.since) >= WINDOW {
            (written.since, written.lines) = (now, 0);
        }
        written.lines = written.lines.saturating_add(1);
        let may = written.lines <= BURST;
        if !may {
            written.left_out += 1;
            self.0.left_out.fetch_add(1, Ordering::Relaxed);
        }
        may
    }

    /// How many lines of a statement were left out since this was asked.
    pub(crate) fn take(&self, metadata: &Metadata<'_>) -> u64 {
        if *metadata.level() > Level::WARN {
            return 0;
        }
        let mut statements = self.0.written.lock().unwrap_or_else(PoisonError::into_inner);
        statements.get_mut(&metadata.callsite()).map_or(0, |written| std::mem::take(&mut written.left_out))
    }
}

impl Filter<Registry> for Repeats {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, Registry>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, Registry>) -> bool {
        self.may(event.metadata(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::{Layer as _, layer::SubscriberExt as _};

    use super::*;

    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<Level>>>);

    impl tracing_subscriber::Layer<Registry> for Seen {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, Registry>) {
            self.0.lock().expect("nobody panics").push(*event.metadata().level());
        }
    }

    #[test]
    fn a_statement_writes_so_many_warnings_and_no_more() {
        let (seen, repeats) = (Seen::default(), Repeats::default());
        let layer = seen.clone().with_filter(repeats.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            for n in 0..100 {
                tracing::warn!(n, "again");
                tracing::info!(n, "a request");
            }
            tracing::warn!("another statement");
        });
        let of = |level| seen.0.lock().expect("nobody panics").iter().filter(|seen| **seen == level).count();
        assert_eq!((of(Level::WARN), of(Level::INFO)), (BURST as usize + 1, 100));
        assert_eq!(repeats.0.left_out.load(Ordering::Relaxed), 100 - u64::from(BURST));
    }

    #[test]
    fn after_a_while_it_writes_again_and_says_what_is_missing() {
        let metadata =
            tracing::callsite! { name: "again", kind: tracing::metadata::Kind::EVENT, level: Level::WARN, fields: n };
        let metadata = tracing::callsite::Callsite::metadata(metadata);
        let (repeats, start) = (Repeats::default(), Instant::now());
        let written = (0..50).filter(|_| repeats.may(metadata, start)).count();
        assert_eq!(written, BURST as usize);
        assert!(repeats.may(metadata, start + WINDOW));
        assert_eq!((repeats.take(metadata), repeats.take(metadata)), (50 - u64::from(BURST), 0));
    }
}
