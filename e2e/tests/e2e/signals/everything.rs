//! Everything that a person, an operator, another service and the payment provider do.

mod accounts;
mod orders;
mod payments;

use anyhow::{Result, ensure};
use e2e::{Api, Cluster};
use http::{Method, StatusCode};
use nix::sys::signal::Signal::{SIGKILL, SIGSTOP};
use testkit::eventually;
use trireme::http::Http;
use uuid::Uuid;

/// Does it once.
pub(super) async fn everything(cluster: &Cluster) -> Result<()> {
    let api = Api::new(cluster)?;
    let (operator, account) = (api.operator(cluster).await?, api.sign_up().await?);
    let order = orders::all(cluster, &api, (&operator, &account)).await?;
    payments::all(cluster, &order).await?;
    accounts::all(&api, &operator, account).await
}

/// Has Redis stand still until a call has met it so, then ends it; `trireme` starts it again.
pub(super) async fn without_redis(cluster: &Cluster) -> Result<()> {
    let (api, http) = (Api::new(cluster)?, Http::new());
    let metrics = format!("{}/metrics", cluster.process("order")?.admin);
    ensure!(cluster.signal("redis", SIGSTOP)?, "Redis does not run");
    eventually!({
        // Of what nobody has asked for the process' own memory knows nothing.
        let read = api.send(Method::GET, &format!("order:/v1/products/{}", Uuid::new_v4()), &[], None).await?;
        ensure!(read.status == StatusCode::NOT_FOUND, "{read:?}");
        http.text(&metrics).await?.contains("\ncache_errors_total{")
    });
    ensure!(cluster.signal("redis", SIGKILL)?, "Redis does not run");
    Ok(())
}
