//! Breaks things, for as long as somebody waits: what is dropped is mended.

use std::{fs, future::pending, time::Duration};

use anyhow::{Context as _, Result};
use e2e::observe::Stack;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::sleep;

use crate::{incidents::Fault, way::Canary};

/// In turns.
const STANDS: Duration = Duration::from_secs(2);
const RUNS: Duration = Duration::from_millis(300);

/// Breaks it, and comes back only where it cannot; mended when this is dropped.
pub(crate) async fn break_it(fault: Fault, stack: &Stack, canary: Option<&Canary>) -> Result<()> {
    let of = |name| stack.cluster.pid(name)?.with_context(|| format!("{name} does not run"));
    match fault {
        Fault::Nothing => pending().await,
        Fault::PaymentSlow => {
            let payment = of("payment")?;
            loop {
                let paused = Paused::all(vec![payment]);
                sleep(STANDS).await;
                drop(paused);
                sleep(RUNS).await;
            }
        }
        Fault::BrokerKilled => {
            // Who would start it again at once.
            let _supervisor = Paused::all(vec![stack.cluster.supervisor()?]);
            kill(of("nats")?, Signal::SIGKILL)?;
            pending().await
        }
        Fault::DatabasePaused => {
            let _all = Paused::all(family(of("postgres")?)?);
            pending().await
        }
        Fault::CanaryFailing => {
            let _failing = canary.context("no canary")?.database.fail();
            pending().await
        }
        Fault::CanaryAlone => {
            let _alone = canary.context("no canary")?.payment.fail();
            pending().await
        }
    }
}

/// Processes that stand still until this is dropped.
struct Paused(Vec<Pid>);

impl Paused {
    fn all(processes: Vec<Pid>) -> Self {
        let all = Self(processes);
        all.signal(Signal::SIGSTOP);
        all
    }

    fn signal(&self, signal: Signal) {
        for process in &self.0 {
            // One that has ended stands still, too.
            let _ = kill(*process, signal);
        }
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        self.signal(Signal::SIGCONT);
    }
}

/// A process and all that descend from it, it first: nobody is born to one that stands still.
fn family(first: Pid) -> Result<Vec<Pid>> {
    let processes =
        fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let with_parent = processes.filter_map(|process| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<i32>().ok()?;
        Some((process, parent))
    });
    let all: Vec<_> = with_parent.collect();
    let mut family = vec![first.as_raw()];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(all.iter().filter(|(_, of)| *of == parent).map(|(process, _)| *process));
        next += 1;
    }
    Ok(family.into_iter().map(Pid::from_raw).collect())
}
