//! `trireme grant`: give an account a role, with the user binary's own subcommand.

use std::{path::Path, process::ExitCode};

use anyhow::Result;

use crate::{data::Data, output::Output, roles};

pub(crate) async fn run(path: &Path, email: &str, role: &str) -> Result<ExitCode> {
    let data = Data::open(path)?;
    let granted = roles::grant(&data, &data.state()?, email, role).await?;
    let output = Output::new();
    output.line(String::from_utf8_lossy(&granted.stdout).trim_end());
    if !granted.status.success() {
        output.notice(String::from_utf8_lossy(&granted.stderr).trim_end());
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
