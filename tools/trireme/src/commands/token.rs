//! `trireme token`: an access token, for a shell.

use std::{path::Path, process::ExitCode};

use anyhow::Result;

use super::running;
use crate::{data::Data, output::Output, shop::Shop};

pub(crate) async fn run(path: &Path, email: &str) -> Result<ExitCode> {
    let state = running(&Data::open(path)?)?;
    let person = Shop::of(&state).enter(email).await?;
    Output::new().line(&person.token);
    Ok(ExitCode::SUCCESS)
}
