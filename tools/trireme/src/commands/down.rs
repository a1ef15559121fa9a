//! `trireme down`: stop what `up` started.

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::{Result, bail};
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use crate::{data::Data, output::Output, process, supervisor};

/// Longer than a supervisor waits for its services.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

pub(crate) async fn run(path: &Path) -> Result<ExitCode> {
    let (data, output) = (Data::open(path)?, Output::new());
    if let Some(_lock) = data.lock()? {
        supervisor::stop_orphans(&data.state()?, &output).await;
        output.line("nothing runs");
        return Ok(ExitCode::SUCCESS);
    }
    let waiting = output.wait("stopping");
    let (asked, mut signalled) = (Instant::now(), None);
    while data.lock()?.is_none() {
        // A supervisor writes down its pid a moment after it has taken the lock.
        if signalled.is_none() {
            signalled = data.state()?.pid.filter(|pid| process::signal(*pid, Signal::SIGTERM));
        }
        if asked.elapsed() > STOP_TIMEOUT {
            let pid = signalled.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
            bail!("the supervisor{pid} has not ended within {STOP_TIMEOUT:?}: see {}", data.join("logs").display());
        }
        sleep(POLL_INTERVAL).await;
    }
    drop(waiting);
    output.line("stopped");
    Ok(ExitCode::SUCCESS)
}
