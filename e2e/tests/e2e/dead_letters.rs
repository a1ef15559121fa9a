//! `trireme dlq` on the bus of a running system.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::Cluster;
use messaging::Event;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// What no handler can read becomes a dead letter, which the tool lists, shows and gives back; it is none the wiser then,
/// and a dead letter again. Its id.
pub(crate) async fn are_shown_and_given_back(cluster: &Cluster) -> Result<String> {
    let bus = backends::bus(&messaging::Config::new(cluster.bus_url()?), clock::system()).await?;
    let event =
        Event::new("order.confirmed.v1", "e2e", "nobody", clock::system().now(), json!({"order": "unreadable"}))?;
    bus.publish(std::slice::from_ref(&event)).await?;
    bus.close().await;
    let id = event.id.to_string();
    let first = listed(cluster, &id, 0).await?;
    ensure!(first["cause"] == "permanent" && first["kind"] == event.kind, "{first}");
    let shown = cluster.tool(&["dlq", "show", &id])?;
    ensure!(shown.contains("permanent") && shown.contains("unreadable"), "{shown}");
    let given = cluster.tool(&["dlq", "replay", &id, "--group", "user"])?;
    ensure!(given.contains("order.confirmed.v1 of nobody goes to user again"), "{given}");
    listed(cluster, &id, 1).await?;
    Ok(id)
}

/// What `trireme dlq list` says of it in the group of users, once it has been given back so often.
async fn listed(cluster: &Cluster, id: &str, replays: u64) -> Result<Value> {
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let list = cluster.tool(&["dlq", "list", "--group", "user", "--json"])?;
        let lines = list
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<Vec<Value>, _>>()
            .context("a JSON object a line")?;
        if let Some(line) = lines.into_iter().find(|line| line["id"] == id && line["replays"] == replays) {
            return Ok(line);
        }
        ensure!(Instant::now() < deadline, "not within two minutes with {replays} replays: {list}");
        sleep(Duration::from_millis(100)).await;
    }
}
