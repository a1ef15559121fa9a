//! Asking the service on this machine whether it is ready, for a container whose image has no shell.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::config::Listen;

/// How long the service may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The longest response that is read, in bytes: more than any report of health.
const RESPONSE_LIMIT: u64 = 64 << 10;

/// Asks the admin port of a service with this configuration.
///
/// # Errors
///
/// Says that it is not ready and why, or that it does not answer.
pub async fn probe(admin: &Listen) -> Result<()> {
    if admin.port == 0 {
        bail!("admin.port is 0, so that nobody knows where to ask: set it to a number");
    }
    // A service that listens everywhere listens here.
    let host = match admin.host.as_str() {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    let response = timeout(TIMEOUT, get_ready(host, admin.port)).await;
    let response = response.context("no answer within 2 s")?.with_context(|| format!("{host}:{}", admin.port))?;
    let (head, report) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
    if head.split(' ').nth(1) != Some("200") {
        bail!("not ready: {}", report.trim());
    }
    Ok(())
}

async fn get_ready(host: &str, port: u16) -> std::io::Result<String> {
    let mut connection = TcpStream::connect((host, port)).await?;
    let request = b"GET /healthz/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    connection.write_all(request).await?;
    let mut response = Vec::new();
    connection.take(RESPONSE_LIMIT).read_to_end(&mut response).await?;
    Ok(String::from_utf8_lossy(&response).into_owned())
}
