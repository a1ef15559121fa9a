//! What a supervisor that was killed has left running.

use std::time::Duration;

use crate::{output::Output, process, state::State};

/// Longer than the services' own deadline for their end.
const PATIENCE: Duration = Duration::from_secs(15);

/// Ends services of an earlier run: they hold the ports and the databases, and nobody looks after them.
pub(crate) async fn end(state: &State, output: &Output) {
    for service in &state.services {
        if let (Some(pid), Some(started)) = (service.pid, &service.started)
            && process::is_alive(pid, started)
        {
            output.notice(&format!("{} (pid {pid}) was left over by an earlier run: ending it", service.name));
            process::end(pid, started, PATIENCE).await;
        }
    }
}
