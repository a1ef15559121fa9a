//! What is done with products, orders and their streams.

use anyhow::{Context as _, Result, ensure};
use e2e::{Account, Api, Cluster};
use http::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::signals::{DEADLINE, order};

/// More streams than an account may have.
const TOO_MANY: usize = 12;

/// Orders of every end, and whatever can be read of them; returns one of them.
pub(super) async fn all(cluster: &Cluster, api: &Api, (operator, account): (&Account, &Account)) -> Result<String> {
    sell(api, operator).await?;
    let [refunded, cancelled] =
        [order(api, account, ("tok_ok", "a"), &[]).await?, order(api, account, ("tok_ok", "b"), &[]).await?];
    order(api, account, ("tok_declined", "c"), &[]).await?;
    for target in [format!("order:/v1/orders/{refunded}"), "order:/v1/orders".to_owned(), "order:/nowhere".to_owned()] {
        api.get(&target, account).await?;
    }
    let query = json!({"query": format!("{{ order(id: \"{refunded}\") {{ id customer {{ name }} }} }}")});
    api.post("order:/graphql", account, None, Some(&query)).await?;
    api.post(&format!("order:/v1/orders/{refunded}/fulfil"), operator, None, None).await?;
    for id in [&refunded, &cancelled] {
        let ended = api.post(&format!("order:/v1/orders/{id}/cancel"), account, None, None).await?;
        ensure!(ended.status.is_success(), "{ended:?}");
    }
    streams(&cluster.process("order")?.http, account).await?;
    Ok(refunded)
}

/// What an operator does with a product, of which too many are ordered.
async fn sell(api: &Api, operator: &Account) -> Result<()> {
    let price = json!({"amount": 100, "currency": "EUR"});
    let new = json!({"sku": "SIGNAL-1", "name": "Lamp", "description": "", "price": price, "stock": 1});
    let made = api.post("order:/v1/products", operator, Some("new"), Some(&new)).await?;
    ensure!(made.status.as_u16() == 201, "{made:?}");
    let product = format!("order:/v1/products/{}", made.text("id"));
    api.get(&product, operator).await?;
    let bearer = format!("Bearer {}", operator.token);
    let headers = [("authorization", bearer.as_str()), ("if-match", "*")];
    api.send(Method::PATCH, &product, &headers, Some(&json!({"name": "Lantern"}))).await?;
    api.post(&format!("{product}/restock"), operator, Some("more"), Some(&json!({"quantity": 1}))).await?;
    let order = json!({"items": [{"product_id": made.text("id"), "quantity": 9}], "payment_token": "tok_ok"});
    let refused = api.post("order:/v1/orders", operator, Some("many"), Some(&order)).await?;
    ensure!(refused.status.as_u16() == 409, "{refused:?}");
    Ok(())
}

/// Opens a stream with these headers, and reads until it has said this.
async fn stream(host: &str, account: &Account, headers: &str, said: &str) -> Result<(TcpStream, String)> {
    let mut stream = TcpStream::connect(host).await?;
    let bearer = format!("authorization: Bearer {}", account.token);
    let head = format!("GET /v1/orders/stream HTTP/1.1\r\nhost: {host}\r\n{bearer}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await?;
    let (mut answer, mut buffer) = (String::new(), vec![0; 4096]);
    while !answer.contains(said) {
        let read = timeout(DEADLINE, stream.read(&mut buffer)).await??;
        ensure!(read > 0, "{answer}");
        answer += &String::from_utf8_lossy(&buffer[..read]);
    }
    Ok((stream, answer))
}

/// Streams of Server-Sent Events and over a WebSocket: one that is resumed, and more than there may be.
async fn streams(order: &str, account: &Account) -> Result<()> {
    let host = order.strip_prefix("http://").context("no address")?;
    let upgrade = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    stream(host, account, upgrade, " 101 ").await?;
    let (_, answer) = stream(host, account, "", "\ndata:").await?;
    let id = answer.lines().find_map(|line| line.strip_prefix("id:")).context("no cursor")?;
    stream(host, account, &format!("last-event-id: {}\r\n", id.trim()), "\ndata:").await?;
    let mut open = Vec::new();
    for _ in 0..TOO_MANY {
        open.push(stream(host, account, "", "\r\n\r\n").await?);
    }
    ensure!(open.iter().any(|(_, answer)| answer.starts_with("HTTP/1.1 429")), "none is refused");
    Ok(())
}
