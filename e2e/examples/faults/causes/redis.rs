//! Redis: moved to another server, full.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use servers::{Installed, Server};

use crate::{
    system::{Second, System, until},
    watch::Watch,
};

/// What a server says to a command.
fn tell(port: u16, password: &str, command: &[&str]) -> Result<String> {
    let program = servers::program("redis-cli").context("redis-cli is not installed: make servers")?;
    let mut client = Command::new(program);
    client.args(["-h", "127.0.0.1", "-p", &port.to_string()]).args(command).env("REDISCLI_AUTH", password);
    let output = client.output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success() && !said.starts_with("ERR"), "{command:?}: {said}");
    Ok(said)
}

/// A second server has become primary with all that the old one had, the old one is its replica, and the address leads to
/// the old one. It is put right by leading new connections to the second; those to the old one stay open.
pub(super) async fn moved(system: &System, watch: &Watch<'_>) -> Result<()> {
    let proxy = system.through_a_proxy(Server::Redis).await?;
    let (old, password) = (system.port(Server::Redis)?, system.password()?);
    let folder = Second::folder()?;
    let installed = Installed::find(Server::Redis).context("Redis is not installed")?;
    installed.prepare(folder.path(), Some(&password))?;
    let second = Second::start(Server::Redis, folder)?;
    until("the second Redis answers", async || tell(second.port, &password, &["PING"]).is_ok()).await?;
    for port in [old, second.port] {
        tell(port, &password, &["CONFIG", "SET", "masterauth", &password])?;
    }
    tell(second.port, &password, &["REPLICAOF", "127.0.0.1", &old.to_string()])?;
    let follows = async || {
        let said = tell(second.port, &password, &["INFO", "replication"]);
        said.is_ok_and(|said| said.contains("master_link_status:up"))
    };
    until("the second Redis follows", follows).await?;
    watch.begins().await?;
    tell(second.port, &password, &["REPLICAOF", "NO", "ONE"])?;
    tell(old, &password, &["REPLICAOF", "127.0.0.1", &second.port.to_string()])?;
    watch.stands().await;
    proxy.lead_to(&format!("127.0.0.1:{}", second.port));
    system.keep((proxy, second));
    Ok(())
}

/// It may have no more than it has already.
pub(super) async fn full(system: &System, watch: &Watch<'_>) -> Result<()> {
    let (port, password) = (system.port(Server::Redis)?, system.password()?);
    let limit =
        |bytes: &str| tell(port, &password, &["CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", bytes]);
    watch.begins().await?;
    limit("1mb")?;
    watch.stands().await;
    limit("0").map(drop)
}
