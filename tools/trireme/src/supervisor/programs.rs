//! Programs that the services are not: their ports, and how they are started and ended together.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Result, anyhow};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    program_loop::{Program, ProgramLoop},
    shared::Shared,
};
use crate::{
    ports,
    state::{ServerState, State},
};

/// Between two tries whether a program answers.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Every port that has been picked.
pub(super) fn taken(state: &State) -> Vec<u16> {
    let services = state.services.iter().filter_map(|service| service.addresses.ports()).flatten();
    services.chain(state.servers.iter().chain(&state.observers).map(|program| program.port)).collect()
}

/// Picks a port for each; keeps those of the last run where they are free.
pub(super) fn pick_ports<const N: usize>(
    names: [&str; N],
    kept: &[ServerState],
    taken: &[u16],
) -> Result<Vec<ServerState>> {
    let fresh: [u16; N] = ports::pick_some(taken)?;
    let mut picked: Vec<ServerState> = Vec::with_capacity(N);
    for (name, fresh) in names.into_iter().zip(fresh) {
        let is_taken = |port| taken.contains(&port) || picked.iter().any(|other| other.port == port);
        let before = kept.iter().find(|state| state.name == name).map(|state| state.port);
        let port = before.filter(|port| ports::is_free(*port) && !is_taken(*port)).unwrap_or(fresh);
        picked.push(ServerState { name: name.to_owned(), pid: None, started: None, port, restarts: 0 });
    }
    Ok(picked)
}

/// Waits until somebody listens on the port.
pub(super) async fn listening(port: u16) {
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        sleep(POLL_INTERVAL).await;
    }
}

/// Programs that run.
#[derive(Debug)]
pub(super) struct Programs {
    shared: Arc<Shared>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Programs {
    /// None.
    pub(super) fn none(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), tracker: TaskTracker::new(), stop: CancellationToken::new() }
    }

    /// Starts one, and starts it again whenever it ends.
    pub(super) fn start(&self, program: Program) {
        let process = ProgramLoop { program, shared: Arc::clone(&self.shared), stop: self.stop.clone() };
        self.tracker.spawn(process.run());
    }

    /// Waits until they answer.
    ///
    /// # Errors
    ///
    /// They do not in time, or one does not start; then all have been ended.
    pub(super) async fn ready(
        self,
        answering: impl Future<Output = Result<()>>,
        within: Duration,
        (names, folder): (&str, PathBuf),
    ) -> Result<Self> {
        let late = || anyhow!("{names} not ready within {within:?}: see {}", folder.display());
        let outcome = tokio::select! {
            outcome = timeout(within, answering) => outcome.unwrap_or_else(|_| Err(late())),
            failure = self.shared.failed() => Err(anyhow::Error::msg(failure)),
        };
        if outcome.is_err() {
            self.stop().await;
        }
        outcome.map(|()| self)
    }

    /// Asks them to end and waits until they have.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_kept_and_distinct() {
        let names = ["a", "b", "c"];
        let first = pick_ports(names, &[], &[]).unwrap();
        assert!(first[0].port != first[1].port && first[1].port != first[2].port);
        assert_eq!(pick_ports(names, &first, &[]).unwrap(), first);
        let taken = [first[1].port];
        assert_ne!(pick_ports(names, &first, &taken).unwrap()[1].port, first[1].port);
    }
}
