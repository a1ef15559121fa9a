//! Breaks things, for as long as somebody waits: what is dropped is mended.

use std::{future::pending, time::Duration};

use anyhow::{Context as _, Result};
use e2e::{Paused, family, observe::Stack};
use nix::sys::signal::{Signal, kill};
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
