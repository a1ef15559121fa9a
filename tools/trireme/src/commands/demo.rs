//! `trireme demo`: start everything, tell the story of a real order, prove it, and stay up.

use std::{path::Path, process::ExitCode};

use anyhow::Result;

use super::{up, verify::prove};
use crate::{
    data::Data,
    demo::{self, Story},
    output::{Logs, Output, dim},
    service::binaries,
    signals::Signals,
    state::State,
    supervisor::{Options, Supervisor},
};

pub(crate) async fn run(path: &Path, once: bool) -> Result<ExitCode> {
    let (data, output) = (Data::create(path)?, Output::new());
    if data.lock()?.is_none() {
        output.line(&dim("trireme runs already: the story is told on what runs"));
        let state = data.state()?;
        let code = tell(&data, &state, &output).await?;
        demo::farewell(&data, &state, &output);
        return Ok(code);
    }
    let options = Options {
        data: data.clone(),
        binaries: binaries()?,
        servers: None,
        observe: false,
        logs: Logs::Files,
        output: output.clone(),
    };
    let mut signals = Signals::new()?;
    let supervisor = tokio::select! {
        started = Supervisor::start(options) => started?,
        () = signals.next() => return Ok(ExitCode::FAILURE),
    };
    let outcome = tokio::select! {
        outcome = show(&supervisor, &data, &output, once) => outcome,
        () = signals.next() => Ok(ExitCode::SUCCESS),
    };
    up::stop(&supervisor, &mut signals, &output).await;
    outcome
}

async fn show(supervisor: &Supervisor, data: &Data, output: &Output, once: bool) -> Result<ExitCode> {
    supervisor.ready(up::READY_TIMEOUT).await?;
    let code = tell(data, &supervisor.state(), output).await;
    if once {
        return code;
    }
    code?;
    demo::farewell(data, &supervisor.state(), output);
    anyhow::bail!(supervisor.failed().await)
}

/// The story, and the proof.
async fn tell(data: &Data, state: &State, output: &Output) -> Result<ExitCode> {
    Story::new(data, state, output).tell().await?;
    output.line("\nDoes it all add up? The services' own books say:");
    let report = prove(data, state).await?;
    output.lines(&report.lines());
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
