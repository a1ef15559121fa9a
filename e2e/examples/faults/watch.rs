//! The course of a fault: all is well, it stands, it is put right, all is good again; and what is seen of that.

use std::{future::pending, time::Duration};

use anyhow::{Result, ensure};
use e2e::{SERVICES, customers::Customer};
use nix::unistd::Pid;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use crate::{
    AFTER, BEFORE, GIVE_UP, causes,
    faults::Fault,
    logs::Logs,
    readiness::Readiness,
    system::System,
    tally::{Phase, Tally},
};

/// Between two tries whether all is good.
const TRY: Duration = Duration::from_millis(100);

/// Watches a fault.
pub(crate) struct Watch<'a> {
    system: &'a System,
    tally: &'a Tally,
    stands: Duration,
    /// Who places orders, and who logs in.
    probes: Mutex<Vec<Customer>>,
    readiness: Readiness,
    logs: Logs,
}

/// What was seen.
pub(crate) struct Seen {
    /// After the fault was put right; `None` where it was given up.
    pub(crate) good: Option<Duration>,
    /// How many of the services do not run any more as the process that the fault met.
    pub(crate) restarts: usize,
    pub(crate) readiness: Vec<String>,
    pub(crate) logs: Vec<String>,
    pub(crate) probes: Vec<Customer>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(system: &'a System, tally: &'a Tally, stands: Duration, probes: Vec<Customer>) -> Result<Self> {
        let (readiness, logs) = (Readiness::of(&system.cluster)?, Logs::of(&system.cluster));
        Ok(Self { system, tally, stands, probes: Mutex::new(probes), readiness, logs })
    }

    /// Brings it about, while readiness is asked.
    pub(crate) async fn over(self, fault: &Fault) -> Result<Seen> {
        let (good, restarts) = tokio::select! {
            done = self.course(fault) => done?,
            () = self.readiness.ask_again_and_again(self.tally) => pending().await,
        };
        let (readiness, logs) = (self.readiness.said(), self.logs.said());
        Ok(Seen { good, restarts, readiness, logs, probes: self.probes.into_inner() })
    }

    async fn course(&self, fault: &Fault) -> Result<(Option<Duration>, usize)> {
        causes::bring_about(fault.cause, self.system, self).await?;
        let (met, right) = (self.logs.processes(), Instant::now());
        self.tally.enter(Phase::After);
        self.readiness.ends(right);
        eprintln!("{}: put right", fault.title);
        let good = self.good_within(GIVE_UP).await.then(|| right.elapsed());
        sleep(AFTER).await;
        let restarts = met.iter().zip(self.pids()?).filter(|(met, now)| **met != *now).count();
        Ok((good, restarts))
    }

    /// All is well, for a while; the fault begins with the next thing that is done.
    pub(crate) async fn begins(&self) -> Result<()> {
        ensure!(self.good_within(GIVE_UP).await, "nothing is good before the fault");
        sleep(BEFORE).await;
        self.logs.begin(self.pids()?);
        self.tally.enter(Phase::During);
        eprintln!("the fault stands for {:?}", self.stands);
        Ok(())
    }

    /// As long as the fault stands.
    pub(crate) async fn stands(&self) {
        sleep(self.stands).await;
    }

    fn pids(&self) -> Result<Vec<Option<Pid>>> {
        SERVICES.iter().map(|service| self.system.cluster.pid(service)).collect()
    }

    /// Waits until an order is confirmed at once, which takes a write of order and one of payment, and somebody has logged
    /// in, which takes one of user.
    async fn good_within(&self, limit: Duration) -> bool {
        let mut probes = self.probes.lock().await;
        let [orders, logs_in] = &mut probes[..] else { return false };
        let placed = async {
            while !orders.place().await {
                sleep(TRY).await;
            }
        };
        let logged_in = async {
            while !logs_in.log_in().await {
                sleep(TRY).await;
            }
        };
        tokio::time::timeout(limit, async { tokio::join!(placed, logged_in) }).await.is_ok()
    }
}
