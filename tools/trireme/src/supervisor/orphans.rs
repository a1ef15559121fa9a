//! Orphaned processes: what a supervisor that was killed has left running.

use std::time::Duration;

use crate::{output::Output, process, state::State};

/// Longer than the services' own deadline for their end.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// Stops services and servers of an earlier run: they hold the ports and the databases, and nobody supervises them.
pub(crate) async fn stop(state: &State, output: &Output) {
    let services = state.services.iter().map(|service| (service.name.name(), service.pid, &service.started));
    let programs = state.servers.iter().chain(&state.observers);
    let programs = programs.map(|server| (server.name.as_str(), server.pid, &server.started));
    for (name, pid, started) in services.chain(programs) {
        if let (Some(pid), Some(started)) = (pid, started)
            && process::is_alive(pid, started)
        {
            output.notice(&format!("{name} (pid {pid}) was left over by an earlier run: ending it"));
            process::end(pid, started, STOP_TIMEOUT).await;
        }
    }
}
