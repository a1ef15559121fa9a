//! `trireme verify`: let the running services prove that everything adds up.

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::Result;

use crate::{data::Data, output::Output, verify::verify};

/// How long work in progress may take to settle.
pub(super) const SETTLE_TIMEOUT: Duration = Duration::from_secs(15);

pub(crate) async fn run(path: &Path) -> Result<ExitCode> {
    let (data, output) = (Data::open(path)?, Output::new());
    let (state, credential) = (super::running(&data)?, super::credential(&data)?);
    let report = {
        let _waiting = output.wait("asking user, order and payment");
        verify(&state, &credential, SETTLE_TIMEOUT).await?
    };
    output.lines(&report.lines());
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
