//! Gives accounts their roles, with the user binary's own subcommand.

use std::process::Output;

use anyhow::{Context as _, Result};
use tokio::process::Command;

use crate::{
    data::Data,
    environment::environment,
    service::{Service, binaries},
    state::State,
};

/// Runs `user grant` on a data directory.
pub(crate) async fn grant(data: &Data, state: &State, email: &str, role: &str) -> Result<Output> {
    let program = binaries()?.join(Service::User.name());
    let environment = environment(Service::User, data, state)?;
    let mut command = Command::new(&program);
    let output = command.args(["grant", email, role]).envs(environment).kill_on_drop(true).output().await;
    output.with_context(|| format!("cannot run {}", program.display()))
}
