//! What the process and its runtime take: processor time, memory, files, tasks, and how late its timers are; and what was
//! built. The kernel's books are those of Linux: elsewhere what they would say is missing.

use std::{
    fs,
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use semconv::{attributes, metrics};
use tokio::{runtime::Handle, time::sleep_until};
use tokio_util::sync::CancellationToken;

/// Ticks of the kernel's clock in a second, on every Linux that Rust runs on.
const TICKS: f64 = 100.0;
/// How often a timer is looked at.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// The compiler, as the build found it.
const RUSTC: &str = env!("TRIREME_RUSTC");

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Remembers when the process began, for where the kernel does not say it.
pub(crate) fn begin() {
    LazyLock::force(&STARTED);
}

/// Time since the process was started, by the kernel's books (a hundredth of a second fine); by our own without them.
pub(crate) fn uptime() -> Duration {
    let by_kernel = || {
        let up: f64 = fs::read_to_string("/proc/uptime").ok()?.split(' ').next()?.parse().ok()?;
        Duration::try_from_secs_f64(up - Stat::read()?.started).ok()
    };
    by_kernel().unwrap_or_else(|| STARTED.elapsed())
}

/// Seconds, of `/proc/self/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    user: f64,
    system: f64,
    /// Since the machine has started.
    started: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// proc(5): the fields after the name, which may hold anything, begin with the third.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let seconds = |field: usize| Some(fields.get(field - 3)?.parse::<f64>().ok()? / TICKS);
        Some(Self { user: seconds(14)?, system: seconds(15)?, started: seconds(22)? })
    }
}

/// Resident memory in bytes, of `/proc/self/status`.
fn resident() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<i64>().ok().map(|kib| kib * 1024)
}

fn open_files() -> Option<i64> {
    i64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}

/// Has all of it measured but for the timers, for as long as the process lives. Inside the runtime.
pub(crate) fn measure(version: &'static str, commit: &'static str) {
    metrics::PROCESS_CPU_TIME.observe(|to| {
        if let Some(stat) = Stat::read() {
            to.observe(stat.user, &[attributes::CPU_MODE.of("user")]);
            to.observe(stat.system, &[attributes::CPU_MODE.of("system")]);
        }
    });
    metrics::PROCESS_MEMORY_USAGE.observe(|to| resident().into_iter().for_each(|bytes| to.observe(bytes, &[])));
    let files = &metrics::PROCESS_UNIX_FILE_DESCRIPTOR_COUNT;
    files.observe(|to| open_files().into_iter().for_each(|count| to.observe(count, &[])));
    metrics::PROCESS_UPTIME.observe(|to| to.observe(uptime().as_secs_f64(), &[]));
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(uptime());
    metrics::PROCESS_START_TIME.observe(move |to| to.observe(started.as_secs_f64(), &[]));
    let build = [
        attributes::SERVICE_VERSION.of(version),
        attributes::VCS_REVISION.of(commit),
        attributes::RUSTC_VERSION.of(RUSTC),
    ];
    metrics::BUILD_INFO.observe(move |to| to.observe(1, &build));
    measure_runtime();
}

fn measure_runtime() {
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let runtime = || Handle::current().metrics();
    let (workers, busy, tasks, queue) = (runtime(), runtime(), runtime(), runtime());
    metrics::TOKIO_WORKERS.observe(move |to| to.observe(count(workers.num_workers()), &[]));
    metrics::TOKIO_WORKERS_BUSY.observe(move |to| {
        let times = (0..busy.num_workers()).map(|worker| busy.worker_total_busy_duration(worker));
        to.observe(times.sum::<Duration>().as_secs_f64(), &[]);
    });
    metrics::TOKIO_TASKS_ALIVE.observe(move |to| to.observe(count(tasks.num_alive_tasks()), &[]));
    metrics::TOKIO_QUEUE_DEPTH.observe(move |to| to.observe(count(queue.global_queue_depth()), &[]));
}

/// Measures how late a timer is, again and again until the token is cancelled.
pub(crate) async fn probe(token: CancellationToken) -> Result<()> {
    let delay = metrics::TOKIO_SCHEDULE_DELAY.instrument();
    loop {
        let due = tokio::time::Instant::now() + PROBE_INTERVAL;
        tokio::select! {
            () = token.cancelled() => return Ok(()),
            () = sleep_until(due) => delay.record(due.elapsed().as_secs_f64(), &[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_books_are_read() {
        let text = "4 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 25 13 14 15 16 17 18 4000 20 21";
        assert_eq!(Stat::parse(text), Some(Stat { user: 1.5, system: 0.25, started: 40.0 }));
        assert_eq!(Stat::parse("4 (a) S 1"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_knows_this_process() {
        let up = uptime();
        assert!(up > Duration::ZERO && up < Duration::from_hours(1), "{up:?}");
        assert!(resident().is_some_and(|bytes| bytes > 1 << 20));
        assert!(open_files().is_some_and(|count| count > 2));
    }
}
