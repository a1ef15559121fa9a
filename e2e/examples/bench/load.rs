//! A load, and what came of it.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use e2e::Process;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};

/// Who waits for an answer to an open load, at most; whoever is due then has to wait, and that counts.
const WAITING: u64 = 256;

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Load {
    /// So many clients, each of which asks again when it has its answer.
    Closed(u64),
    /// So many requests a second, whatever becomes of them. What one takes counts from when it was due: otherwise whoever
    /// is slow is asked less, and looks faster (coordinated omission; Tene, "How NOT to Measure Latency", 2013).
    Open(f64),
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Answers a second.
    pub(crate) a_second: f64,
    /// Answers per second of processor time of the services.
    pub(crate) a_cpu_second: f64,
    /// Milliseconds that 50, 99 and 99.9 % of them took at most.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    /// Requests without the answer that they should have had.
    pub(crate) failed: usize,
}

impl Load {
    /// Puts it on some processes for a while.
    pub(crate) async fn put(
        self,
        time: Duration,
        processes: &[Process],
        one: impl AsyncFn(u64) -> Result<()>,
    ) -> Result<Figures> {
        let (next, cpu_before, start) = (AtomicU64::new(0), cpu(processes)?, Instant::now());
        let client = async || -> Result<Vec<Option<Duration>>> {
            let mut taken = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let now = Instant::now();
                let due = match self {
                    Self::Closed(_) => now,
                    Self::Open(rate) => start + Duration::from_secs_f64(n as f64 / rate),
                };
                if due >= start + time {
                    return Ok(taken);
                }
                // The timer wakes up to a millisecond late: nobody waits for it without need.
                if due > now {
                    sleep_until(due).await;
                }
                let answered = one(n).await;
                if let Err(error) = &answered
                    && taken.iter().all(Option::is_some)
                {
                    eprintln!("{error:#}");
                }
                taken.push(answered.is_ok().then(|| due.elapsed()));
            }
        };
        let clients = match self {
            Self::Closed(clients) => clients,
            Self::Open(_) => WAITING,
        };
        let all = try_join_all((0..clients).map(|_| client())).await?.concat();
        let (wall, cpu) = (start.elapsed(), cpu(processes)?.saturating_sub(cpu_before));
        let mut taken: Vec<Duration> = all.iter().flatten().copied().collect();
        taken.sort_unstable();
        ensure!(!taken.is_empty(), "nothing was answered");
        let at = |permille: usize| taken[(taken.len() - 1) * permille / 1000].as_secs_f64() * 1000.0;
        let count = taken.len() as f64;
        Ok(Figures {
            a_second: count / wall.as_secs_f64(),
            a_cpu_second: count / cpu.as_secs_f64(),
            p50: at(500),
            p99: at(990),
            p999: at(999),
            failed: all.len() - taken.len(),
        })
    }
}

/// User and system time of processes so far.
fn cpu(processes: &[Process]) -> Result<Duration> {
    processes.iter().map(|process| of(process.pid.context("not running")?)).sum()
}

fn of(pid: i32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').context("stat")?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut next = || -> Result<u64> { Ok(fields.next().context("stat")?.parse()?) };
    let ticks = next()? + next()?;
    // A tick is a hundredth of a second on every Linux that Rust runs on.
    Ok(Duration::from_millis(ticks * 10))
}
