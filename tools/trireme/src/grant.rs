//! `trireme grant`.

use std::process::Stdio;

use anyhow::{Result, bail};

use crate::{
    folder::Folder,
    service::Plan,
    state::State,
};

/// Runs the user binary's own subcommand on a folder's data.
pub(crate) async fn grant(folder: &Folder, email: &str, role: &str) -> Result<()> {
    let state = State::running(folder)?;
    let plan = Plan([state.service("user")?.ports, state.service("order")?.ports, state.service("payment")?.ports]);
    let mut command = plan.command(folder, "user")?;
    let output = command.args(["grant", email, role]).stdin(Stdio::null()).output().await?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    anstream::println!("{email} is {role} from the next log-in on");
    Ok(())
}
