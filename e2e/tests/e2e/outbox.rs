//! `trireme dlq` on the outbox of a running service.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use e2e::binary;
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};
use testkit::eventually;
use uuid::Uuid;

use crate::export::Service;

/// A row that the bus has refused for good, and one that cannot be read.
const DEAD: &str = "INSERT INTO outbox (id, kind, source, key, time, data, canary, attempts, dead_at, reason) VALUES
    (?1, 'user.updated.v1', 'user', 'refused', 1, x'7b7d', 0, 5, 1, 'message size exceeds maximum allowed'),
    (x'00', 'user.updated.v1', 'user', 'spoilt', 1, x'7b7d', 0, 0, NULL, NULL)";

/// The command on a service that runs; what it printed.
fn dlq(service: &Service, arguments: &[&str]) -> Result<String> {
    let output = Command::new(binary("trireme")?)
        .args(["dlq", "--bus", &format!("sqlite://{}", service.file("bus.db"))])
        .args(["--admin", &format!("http://{}", service.admin)])
        .args(["--credential-file", &service.file("service.credential")])
        .args(arguments)
        .output()?;
    let printed = [output.stdout.as_slice(), &output.stderr].map(String::from_utf8_lossy).concat();
    ensure!(output.status.success(), "{printed}");
    Ok(printed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_bus_has_refused_is_shown_and_published_after_a_replay() -> Result<()> {
    let service = Service::spawn(&[])?;
    service.request().await?;
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", service.file("user.db"))).await?;
    let id = Uuid::now_v7();
    sqlx::query(DEAD).bind(id.as_bytes().as_slice()).execute(&mut database).await?;
    eventually!({
        let listed = dlq(&service, &["list", "--group", "outbox", "--json"])?;
        let rows = listed.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>().context(listed)?;
        let causes: Vec<_> = rows.iter().map(|row| (row["service"].as_str(), row["cause"].as_str())).collect();
        causes == [(Some("user"), Some("rejected")), (Some("user"), Some("unreadable"))]
    });
    let id = id.to_string();
    let listed = dlq(&service, &["list"])?;
    ensure!(listed.contains(&id) && listed.contains("outbox of user"), "{listed}");
    let shown = dlq(&service, &["show", &id])?;
    ensure!(shown.contains("message size exceeds maximum allowed") && shown.contains("rejected"), "{shown}");
    let said = dlq(&service, &["replay", &id])?;
    ensure!(said.contains("1 of the outbox of user to be published again"), "{said}");
    // The other one stays until somebody has repaired it.
    let keys = async |database: &mut SqliteConnection| -> Result<Vec<String>> {
        Ok(sqlx::query_scalar("SELECT key FROM outbox ORDER BY seq").fetch_all(database).await?)
    };
    eventually!(keys(&mut database).await? == ["spoilt"]);
    sqlx::query("UPDATE outbox SET id = ?1").bind(Uuid::now_v7().as_bytes().as_slice()).execute(&mut database).await?;
    let said = dlq(&service, &["replay", "--all", "--group", "outbox"])?;
    ensure!(said.contains("1 of the outbox of user"), "{said}");
    eventually!(keys(&mut database).await?.is_empty());
    let output = service.end().await?;
    ensure!(output.status.success(), "{output:?}");
    Ok(())
}
