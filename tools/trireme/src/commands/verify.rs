//! `trireme verify`: let the running services prove that everything adds up.

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    data::Data,
    output::Output,
    state::State,
    verify::{Report, dead_letters, verify},
};

/// How long work in progress may take to settle.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(15);

pub(crate) async fn run(path: &Path) -> Result<ExitCode> {
    let (data, output) = (Data::open(path)?, Output::new());
    let state = super::running(&data)?;
    let report = {
        let _waiting = output.wait("asking user, order, payment and the bus");
        prove(&data, &state).await?
    };
    output.lines(&report.lines());
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the services and the bus of a data directory say.
pub(super) async fn prove(data: &Data, state: &State) -> Result<Report> {
    let mut report = verify(state, &super::credential(data)?, SETTLE_TIMEOUT).await?;
    let bus = backends::bus(&messaging::Config::new(data.bus(state)?), clock::system()).await;
    let bus = bus.context("cannot open the bus")?;
    let found = dead_letters(&*bus).await;
    bus.close().await;
    report.add(found?);
    Ok(report)
}
