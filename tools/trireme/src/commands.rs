//! The subcommands, one a file.

pub(crate) mod canary;
pub(crate) mod demo;
pub(crate) mod dlq;
pub(crate) mod down;
pub(crate) mod grant;
pub(crate) mod smoke;
pub(crate) mod status;
pub(crate) mod up;
pub(crate) mod verify;

use anyhow::{Context as _, Result, bail};
use auth::Credential;

use crate::{data::Data, output::dim, service::Service, state::State};

/// One line for each service, and for each server that they run on.
pub(crate) fn addresses(state: &State) -> Vec<String> {
    let line = |service: &crate::state::ServiceState| {
        let pid = service.pid.map(|pid| dim(&format!("pid {pid}"))).unwrap_or_default();
        let crate::state::Addresses { http, grpc, admin } = &service.addresses;
        format!("  {:<8} {http}   {} {grpc}   {} {admin}   {pid}", service.name, dim("gRPC"), dim("admin"))
    };
    let server = |server: &crate::state::ServerState| {
        let pid = server.pid.map(|pid| dim(&format!("pid {pid}"))).unwrap_or_default();
        format!("  {:<8} 127.0.0.1:{}   {pid}", server.name, server.port)
    };
    state.services.iter().map(line).chain(state.servers.iter().map(server)).collect()
}

/// The state of a data directory on which a supervisor runs.
fn running(data: &Data) -> Result<State> {
    if data.lock()?.is_some() {
        let path = data.path().display();
        bail!("nothing runs on {path}: start it with `trireme up --data {path}`");
    }
    data.state()
}

/// What opens the audit routes to this tool.
fn credential(data: &Data) -> Result<Credential> {
    let path = data.credential();
    let secret = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Credential::new(secret.trim_end(), "trireme"))
}

/// Runs `user grant` on a data directory.
async fn grant(data: &Data, state: &State, email: &str, role: &str) -> Result<std::process::Output> {
    let program = crate::service::binaries()?.join(Service::User.name());
    let environment = Service::User.environment(data, state)?;
    let mut command = tokio::process::Command::new(&program);
    let output = command.args(["grant", email, role]).envs(environment).kill_on_drop(true).output().await;
    output.with_context(|| format!("cannot run {}", program.display()))
}
