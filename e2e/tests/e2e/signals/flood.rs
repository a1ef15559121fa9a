//! What strangers choose has a bound.

use anyhow::{Context as _, Result, ensure};
use e2e::Cluster;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::DEADLINE;

/// A stranger's paths, methods and tokens: 100,000 different ones leave as many series and little more memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_names_is_bounded() -> Result<()> {
    let cluster = Cluster::start_with(&[("TRIREME_TELEMETRY__LOG", "error")])?;
    let order = cluster.process("order")?;
    flood(&order.http, 0..2_000).await?;
    let http = trireme::http::Http::new();
    let shown = async || http.text(&format!("{}/metrics", order.admin)).await;
    let (series, resident) = (shown().await?.lines().count(), resident(&order)?);
    flood(&order.http, 2_000..100_000).await?;
    let after = shown().await?;
    let grown = (after.lines().count().saturating_sub(series), self::resident(&order)?.saturating_sub(resident) / 1024);
    println!("{grown:?} more lines and MiB after 100,000 requests; {series} lines and {resident} KiB before");
    // Metrics that had no occasion before are told meanwhile.
    assert!(grown.0 < 200, "{} lines were {series}", after.lines().count());
    assert!(grown.1 < 16, "{grown:?}");
    assert!(!after.contains("flood"), "{after}");
    Ok(())
}

/// Requests with made-up paths, methods, tokens and traces, on one connection.
async fn flood(order: &str, numbers: std::ops::Range<u32>) -> Result<()> {
    let host = order.strip_prefix("http://").context("no address")?;
    let mut stream = TcpStream::connect(host).await?;
    let mut buffer = vec![0; 1 << 16];
    for start in numbers.clone().step_by(50) {
        let mut requests = String::new();
        let batch = start..(start + 50).min(numbers.end);
        for number in batch.clone() {
            let (method, path) = match number % 3 {
                0 => ("GET".to_owned(), format!("/flood{number}")),
                1 => (format!("FLOOD{number}"), "/v1/orders".to_owned()),
                _ => ("GET".to_owned(), format!("/v1/orders/flood{number}")),
            };
            let request = format!(
                "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer flood{number}\r\n\
                 x-flood-{number}: {number}\r\ntraceparent: 00-{number:032x}-{number:016x}-01\r\ncontent-length: 0\r\n\r\n"
            );
            requests.push_str(&request);
        }
        stream.write_all(requests.as_bytes()).await?;
        let mut answered = 0;
        let mut rest = Vec::new();
        while answered < batch.len() {
            let read = tokio::time::timeout(DEADLINE, stream.read(&mut buffer)).await??;
            ensure!(read > 0, "the connection was closed after {answered} of {batch:?}");
            rest.extend_from_slice(&buffer[..read]);
            answered = rest.windows(9).filter(|window| window == b"HTTP/1.1 ").count();
        }
    }
    Ok(())
}

/// Resident memory in KiB.
fn resident(process: &e2e::Process) -> Result<usize> {
    let pid = process.pid.context("it does not run")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
