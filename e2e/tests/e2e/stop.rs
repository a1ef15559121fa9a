//! SIGTERM under load: whatever was accepted is answered, and the process ends with 0 in time.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use e2e::{Api, Cluster, binary};
use futures::future::join_all;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::{Child, Command},
};
use uuid::Uuid;

use crate::export::collector::Collector;

/// The services' shutdown deadline is 10 s; more is a failure.
const DEADLINE: Duration = Duration::from_secs(10);

/// An order service of its own beside a cluster's, on the cluster's user and payment, so that the test is its parent
/// and sees its exit code.
struct Order {
    child: Child,
    address: String,
}

impl Order {
    async fn start(cluster: &Cluster, folder: &std::path::Path, variables: &[(&str, &str)]) -> Result<Self> {
        let port = testkit::free_port();
        let data = |name: &str| format!("sqlite://{}", folder.join(name).display());
        let child = Command::new(binary("order")?)
            .env("TRIREME_DATABASE__URL", data("order.db"))
            .env("TRIREME_BUS__URL", data("bus.db"))
            .env("TRIREME_HTTP__PORT", port.to_string())
            .env("TRIREME_GRPC__PORT", "0")
            .env("TRIREME_ADMIN__PORT", "0")
            .env("TRIREME_AUTH__JWKS_URL", format!("{}/.well-known/jwks.json", cluster.process("user")?.http))
            .env("TRIREME_PAYMENT__URL", cluster.process("payment")?.grpc)
            .env("TRIREME_USER__URL", cluster.process("user")?.grpc)
            .env("TRIREME_SERVICE__CREDENTIAL_FILE", cluster.data().join("service.credential"))
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let order = Self { child, address: format!("127.0.0.1:{port}") };
        let deadline = Instant::now() + DEADLINE;
        while TcpStream::connect(&order.address).await.is_err() {
            ensure!(Instant::now() < deadline, "order does not start");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(order)
    }
}

/// The span of whoever sends the load.
const CALLER: &str = "00f067aa0ba902b7";

/// How requests of the load ended.
#[derive(Debug, Default)]
struct Tally {
    answered: AtomicU64,
    refused: AtomicU64,
    broken: AtomicU64,
    bad: AtomicU64,
    /// The traces of those that were answered.
    traces: Mutex<BTreeSet<String>>,
}

/// Sends requests, each as a trace of its own, over kept connections until no new connection is accepted.
async fn load(address: &str, request: &str, tally: &Tally, stop: &AtomicBool) {
    let mut open: Option<TcpStream> = None;
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut stream) = reuse(open.take(), address).await else {
            tally.refused.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let trace = Uuid::new_v4().simple().to_string();
        let traced = request.replacen("\r\n", &format!("\r\ntraceparent: 00-{trace}-{CALLER}-01\r\n"), 1);
        match exchange(&mut stream, &traced).await {
            Ok((status, keep)) => {
                tally.answered.fetch_add(1, Ordering::Relaxed);
                tally.traces.lock().unwrap().insert(trace);
                if status >= 500 {
                    tally.bad.fetch_add(1, Ordering::Relaxed);
                }
                open = keep.then_some(stream);
            }
            Err(_) => {
                tally.broken.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

async fn reuse(open: Option<TcpStream>, address: &str) -> std::io::Result<TcpStream> {
    match open {
        Some(stream) => Ok(stream),
        None => TcpStream::connect(address).await,
    }
}

/// One HTTP/1.1 exchange on a plain socket: status, and whether the server keeps the connection.
async fn exchange(stream: &mut TcpStream, request: &str) -> Result<(u16, bool)> {
    stream.write_all(request.as_bytes()).await?;
    let mut seen = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await?;
        ensure!(read > 0, "closed before the answer was complete");
        seen.extend_from_slice(&chunk[..read]);
        let Some(head_end) = seen.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&seen[..head_end]).to_ascii_lowercase();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
        let length: usize = field("content-length:").context("content-length")?.parse()?;
        if seen.len() >= head_end + 4 + length {
            let status = head.split(' ').nth(1).context("status")?.parse()?;
            return Ok((status, field("connection:") != Some("close")));
        }
    }
}

/// Ends an order service with SIGTERM while 16 clients place orders and read; returns how their requests ended.
async fn sigterm_under_load(variables: &[(&str, &str)]) -> Result<Tally> {
    let cluster = Cluster::start()?;
    let api = Api::new(&cluster)?;
    let operator = api.operator(&cluster).await?;
    let folder = tempfile::tempdir()?;
    let mut order = Order::start(&cluster, folder.path(), variables).await?;
    let product = json!({"sku": "T-1", "name": "Tea", "description": "", "price": {"amount": 500, "currency": "EUR"}, "stock": 100_000});
    let created =
        api.post(&format!("http://{}/v1/products", order.address), &operator, Some("tea"), Some(&product)).await?;
    let place = place(&order.address, &created.body, &operator.token);
    let read = format!("GET /v1/products HTTP/1.1\r\nhost: {}\r\n\r\n", order.address);

    let (tally, stop) = (Tally::default(), AtomicBool::new(false));
    let clients = (0..16).map(|n| load(&order.address, if n % 2 == 0 { &place } else { &read }, &tally, &stop));
    let terminate = async {
        while tally.answered.load(Ordering::Relaxed) < 300 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let start = Instant::now();
        kill(Pid::from_raw(i32::try_from(order.child.id().context("pid")?)?), Signal::SIGTERM)?;
        let status = tokio::time::timeout(DEADLINE, order.child.wait()).await.context("not ended in time")??;
        stop.store(true, Ordering::Relaxed);
        anyhow::Ok((status, start.elapsed()))
    };
    let (ended, _) = tokio::join!(terminate, join_all(clients));
    let (status, took) = ended?;
    println!("{} answered, ended with {status} after {took:?}", tally.answered.load(Ordering::Relaxed));
    assert!(status.success(), "{status}");
    Ok(tally)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_fails_no_accepted_request() -> Result<()> {
    let tally = sigterm_under_load(&[]).await?;
    assert_eq!(tally.broken.load(Ordering::Relaxed), 0, "requests cut off: {tally:?}");
    assert_eq!(tally.bad.load(Ordering::Relaxed), 0, "requests failed: {tally:?}");
    Ok(())
}

/// Every span, log line and metric of a request that was answered before the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_loses_no_telemetry_of_an_answered_request() -> Result<()> {
    let (collector, address) = Collector::grpc(None).await?;
    let endpoint = format!("http://{address}");
    // Nothing leaves before the end but what fills a batch.
    let slowly = [("OTEL_BSP_SCHEDULE_DELAY", "60000"), ("OTEL_BLRP_SCHEDULE_DELAY", "60000")];
    let roomy = [("OTEL_BSP_MAX_QUEUE_SIZE", "100000"), ("OTEL_BLRP_MAX_QUEUE_SIZE", "100000")];
    let to = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint)];
    let tally = sigterm_under_load(&[&to[..], &slowly, &roomy].concat()).await?;
    let seen = collector.seen();
    let answered = tally.traces.lock().unwrap().clone();

    let mut spans: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for span in &seen.spans {
        spans.entry(hex(&span.trace_id)).or_default().push(span);
    }
    for trace in &answered {
        let spans = spans.get(trace).map(Vec::as_slice).unwrap_or_default();
        let ids: BTreeSet<_> = spans.iter().map(|span| hex(&span.span_id)).chain([CALLER.to_owned()]).collect();
        let orphans: Vec<_> = spans.iter().filter(|span| !ids.contains(&hex(&span.parent_span_id))).collect();
        assert!(!spans.is_empty() && orphans.is_empty(), "spans of {trace} are missing: {orphans:?}");
        assert!(spans.iter().any(|span| hex(&span.parent_span_id) == CALLER), "the request's own span of {trace}");
    }
    let logged: BTreeSet<_> = seen.logged.iter().map(|trace| hex(trace)).collect();
    assert_eq!(answered.difference(&logged).collect::<Vec<_>>(), Vec::<&String>::new(), "no log line");
    let measured = seen.requests("/v1/orders") + seen.requests("/v1/products");
    assert!(measured >= answered.len() as u64, "{measured} of {} requests were measured", answered.len());
    Ok(())
}

fn hex(id: &[u8]) -> String {
    id.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The bytes of a request that places an order; each repeat is the same command.
fn place(address: &str, product: &Value, token: &str) -> String {
    let body = json!({"items": [{"product_id": product["id"], "quantity": 1}], "payment_token": "tok_ok"}).to_string();
    format!(
        "POST /v1/orders HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nidempotency-key: k\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_says_what_to_do() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let credential = folder.path().join("credential");
    std::fs::write(&credential, "0123456789abcdef0123456789abcdef")?;
    let output = Command::new(binary("order")?)
        .env("TRIREME_DATABASE__URL", format!("sqlite://{}", folder.path().join("order.db").display()))
        .env("TRIREME_BUS__URL", format!("sqlite://{}", folder.path().join("bus.db").display()))
        .env("TRIREME_SERVICE__CREDENTIAL_FILE", &credential)
        .env("TRIREME_HTTP__PORT", &port)
        .env("TRIREME_GRPC__PORT", "0")
        .env("TRIREME_ADMIN__PORT", "0")
        .stdin(Stdio::null())
        .output()
        .await?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success());
    assert!(said.contains(&port) && said.contains("TRIREME_HTTP__PORT"), "{said}");
    Ok(())
}
