//! `trireme down`.

use std::time::Duration;

use anyhow::{Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::{Instant, sleep};

use crate::{folder::Folder, state::State, terminal};

/// More than the services and their supervisor allow themselves.
const LIMIT: Duration = Duration::from_secs(20);

/// Ends the supervisor of a folder and waits until all is quiet.
pub(crate) async fn down(folder: &Folder) -> Result<()> {
    let state = State::running(folder)?;
    let supervisor = state.supervisor;
    kill(Pid::from_raw(supervisor), Signal::SIGTERM)?;
    let spinner = terminal::spinner("stopping");
    let give_up = Instant::now() + LIMIT;
    while folder.lock()?.is_none() {
        ensure!(Instant::now() < give_up, "pid {supervisor} does not end; `kill -9 {supervisor}` does it the hard way");
        sleep(Duration::from_millis(20)).await;
    }
    spinner.finish_and_clear();
    anstream::println!("stopped");
    Ok(())
}
