//! Everything that a person, an operator, another service and the payment provider do.

mod accounts;
mod orders;
mod payments;

use anyhow::{Result, ensure};
use e2e::{Api, Cluster};
use nix::sys::signal::Signal::SIGKILL;

/// Does it once.
pub(super) async fn everything(cluster: &Cluster) -> Result<()> {
    let api = Api::new(cluster)?;
    let (operator, account) = (api.operator(cluster).await?, api.sign_up().await?);
    let order = orders::all(cluster, &api, (&operator, &account)).await?;
    payments::all(cluster, &order).await?;
    accounts::all(&api, &operator, account).await
}

/// Ends Redis while accounts are read, which `trireme` starts again.
pub(super) async fn without_redis(cluster: &Cluster) -> Result<()> {
    let api = Api::new(cluster)?;
    let account = api.sign_up().await?;
    cluster.signal("redis", SIGKILL)?;
    for _ in 0..20 {
        let read = api.get("user:/v1/users/me", &account).await?;
        ensure!(read.status.is_success(), "{read:?}");
    }
    Ok(())
}
