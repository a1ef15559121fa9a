//! The subcommands, one a file.

pub(crate) mod canary;
pub(crate) mod demo;
pub(crate) mod dlq;
pub(crate) mod down;
pub(crate) mod env;
pub(crate) mod grant;
pub(crate) mod log;
pub(crate) mod smoke;
pub(crate) mod status;
pub(crate) mod token;
pub(crate) mod top;
pub(crate) mod trace;
pub(crate) mod up;
pub(crate) mod verify;
pub(crate) mod watch;

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use auth::Credential;

use crate::{data::Data, state::State};

/// The state of a data directory on which a supervisor runs.
fn running(data: &Data) -> Result<State> {
    if data.lock()?.is_some() {
        let path = data.path().display();
        bail!("nothing runs on {path}: start it with `trireme up --data {path}`");
    }
    data.state()
}

/// What opens the audit routes and the admin port to this tool.
fn credential(data: &Data) -> Result<Credential> {
    credential_of(&data.credential())
}

fn credential_of(path: &Path) -> Result<Credential> {
    let secret = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Credential::new(secret.trim_end(), "trireme"))
}
