//! `trireme status`: what runs, and where.

use std::{path::Path, process::ExitCode};

use anyhow::Result;
use serde_json::json;

use crate::{
    data::Data,
    output::{Output, addresses, bold, mark},
    process,
    state::State,
};

pub(crate) fn run(path: &Path, as_json: bool) -> Result<ExitCode> {
    let (data, output) = (Data::open(path)?, Output::new());
    let running = data.lock()?.is_none();
    let state = alive(data.state()?, running);
    if as_json {
        let status = json!({
            "running": running,
            "ready": state.is_ready(),
            "pid": state.pid,
            "version": state.version,
            "data": data.path(),
            "services": state.services,
            "servers": state.servers,
            "observers": state.observers,
        });
        output.line(&serde_json::to_string_pretty(&status)?);
    } else if running {
        output.line(&format!("{} {}", mark(state.is_ready()), bold(&format!("trireme {} runs", state.version))));
        output.lines(&addresses(&state));
    } else {
        output.line("nothing runs");
    }
    Ok(ExitCode::SUCCESS)
}

/// The state without the processes that do not run any more.
fn alive(mut state: State, running: bool) -> State {
    if !running {
        state.pid = None;
    }
    let is_alive = |pid: Option<u32>, since: &Option<String>| matches!((pid, since), (Some(pid), Some(since)) if process::is_alive(pid, since));
    for server in state.servers.iter_mut().chain(&mut state.observers) {
        if !is_alive(server.pid, &server.started) {
            (server.pid, server.started) = (None, None);
        }
    }
    for service in &mut state.services {
        if !is_alive(service.pid, &service.started) {
            (service.pid, service.started, service.ready) = (None, None, false);
        }
    }
    state
}
