//! What one bad pod costs, under the limits that ship: stand-ins for pods, which nobody but their answers gives away.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use futures::{StreamExt as _, stream};
use testkit::{TempDir, servers};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::TaskTracker;
use trireme::http::Http;

use crate::{
    chart::Chart,
    envoy::{Envoy, Listeners, Ports, render},
};

const REQUESTS: usize = 300;
const CLIENTS: usize = 8;
/// Envoy gathers changes of its hosts for a second before it acts on them; an ejection is over after thirty.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Answers 200 while it is good and 503 while it is not.
struct Pod {
    port: u16,
    good: Arc<AtomicBool>,
}

impl Pod {
    async fn start(good: bool) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let pod = Self { port: listener.local_addr()?.port(), good: Arc::new(good.into()) };
        let good = Arc::clone(&pod.good);
        TaskTracker::new().spawn(async move {
            let connections = TaskTracker::new();
            while let Ok((connection, _)) = listener.accept().await {
                connections.spawn(answer(connection, Arc::clone(&good)));
            }
        });
        Ok(pod)
    }
}

async fn answer(connection: TcpStream, good: Arc<AtomicBool>) -> Result<()> {
    let mut connection = BufStream::new(connection);
    let mut line = String::new();
    while connection.read_line(&mut line).await? > 0 {
        if line == "\r\n" {
            let status = if good.load(Ordering::SeqCst) { "200 OK" } else { "503 Service Unavailable" };
            connection.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await?;
            connection.flush().await?;
        }
        line.clear();
    }
    Ok(())
}

/// Envoy before version 1 of order.
struct Mesh {
    envoy: Envoy,
    url: String,
    _folder: TempDir,
}

impl Mesh {
    /// `None` where Envoy or helm is not installed.
    async fn start(pods: &[u16]) -> Result<Option<Self>> {
        let Some(program) = servers::program("envoy") else { return Ok(None) };
        let Some(chart) = Chart::render()? else { return Ok(None) };
        let (folder, listeners) = (testkit::temp_dir(), Listeners::pick());
        let pods = pods.iter().map(|port| Ports { http: *port, grpc: *port, admin: *port }).collect();
        let config = render(&chart, &listeners, &BTreeMap::from([("order".to_owned(), pods)]))?;
        let envoy = Envoy::start(&program, folder.path(), &listeners, &config).await?;
        Ok(Some(Self { envoy, url: listeners.url(8082), _folder: folder }))
    }

    /// Sends requests and counts those that failed.
    async fn failures(&self) -> usize {
        let http = Http::new();
        let requests = stream::iter(0..REQUESTS).map(|_| async {
            let answer = http.get(&self.url).await;
            !answer.is_ok_and(|answer| answer.status.is_success())
        });
        requests.buffer_unordered(CLIENTS).filter(|failed| std::future::ready(*failed)).count().await
    }

    async fn statistic(&self, name: &str) -> Result<u64> {
        self.envoy.statistic(&format!("cluster.order-v1.{name}")).await
    }
}

#[tokio::test]
async fn a_bad_pod_of_three_is_left_alone() -> Result<()> {
    let pods = [Pod::start(true).await?, Pod::start(true).await?, Pod::start(false).await?];
    let Some(mesh) = Mesh::start(&pods.each_ref().map(|pod| pod.port)).await? else { return Ok(()) };
    let (started, mut failures) = (Instant::now(), Vec::new());
    while failures.last() != Some(&0) {
        failures.push(mesh.failures().await);
        ensure!(started.elapsed() < TIMEOUT, "of {REQUESTS} requests each failed {failures:?}");
    }
    println!("one of three pods bad: of {REQUESTS} requests each failed {failures:?}");
    assert_eq!(mesh.statistic("outlier_detection.ejections_active").await?, 1);
    Ok(())
}

/// A try goes to another pod. Of those that are idle Envoy looks for one five times and then takes the same, which twice
/// in a row is 1 of 1,000 requests; without a second try it is every third.
#[tokio::test]
async fn a_pod_that_takes_no_connection_fails_hardly_anybody() -> Result<()> {
    let pods = [Pod::start(true).await?.port, Pod::start(true).await?.port, testkit::free_port()];
    let Some(mesh) = Mesh::start(&pods).await? else { return Ok(()) };
    let failures = mesh.failures().await;
    let refused = mesh.statistic("upstream_cx_connect_fail").await?;
    println!("one of three pods refuses: {failures} of {REQUESTS} requests failed, {refused} connections");
    assert!(failures <= REQUESTS / 100, "{failures} of {REQUESTS} requests failed");
    assert!(refused > 0, "it was asked");
    Ok(())
}

/// A database that all share was away: nobody waits until the ejections are over.
#[tokio::test]
async fn pods_that_were_bad_together_are_asked_once_they_are_good() -> Result<()> {
    let pods = [Pod::start(false).await?, Pod::start(false).await?, Pod::start(false).await?];
    let Some(mesh) = Mesh::start(&pods.each_ref().map(|pod| pod.port)).await? else { return Ok(()) };
    let started = Instant::now();
    // Until Envoy has none left to choose, whatever it does then.
    while mesh.statistic("lb_healthy_panic").await? + mesh.statistic("upstream_cx_none_healthy").await? == 0 {
        assert_eq!(mesh.failures().await, REQUESTS);
        ensure!(started.elapsed() < TIMEOUT, "they are not ejected");
    }
    assert_eq!(mesh.statistic("outlier_detection.ejections_active").await?, 3);
    for pod in &pods {
        pod.good.store(true, Ordering::SeqCst);
    }
    assert_eq!(mesh.failures().await, 0);
    Ok(())
}
