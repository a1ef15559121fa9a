//! What the system really tells of itself: one order's trace from the click to the last consumer, and every span and
//! metric compared with the registry.

mod comparison;
mod tree;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::{Account, Api, Cluster};
use http::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep},
};

use self::tree::Trace;
use crate::export::collector::Collector;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const DEADLINE: Duration = Duration::from_secs(40);

/// Which service's span stands under which other service's, in the trace of one order: the calls, and the events over the bus.
const EDGES: [(&str, &str, &str); 5] = [
    ("", "order", "POST /v1/orders"),
    ("order", "payment", "payment.v1.PaymentService/Authorize"),
    ("order", "payment", "payment.v1.PaymentService/CheckToken"),
    ("order", "user", "process order.confirmed.v1"),
    ("payment", "order", "process payment.authorized.v1"),
];

/// What has to be in it, by service; the last word stands under the first, at any depth.
const PARTS: [(&str, &str, &str); 13] = [
    ("order", "POST /v1/orders", "place_order"),
    ("order", "place_order", "redis.set"),
    ("order", "POST /v1/orders", "payment.v1.PaymentService/Authorize"),
    ("order", "POST /v1/orders", "INSERT outbox"),
    ("order", "process payment.authorized.v1", "advance"),
    ("order", "process payment.authorized.v1", "INSERT inbox"),
    ("order", "process payment.authorized.v1", "ack payment.authorized.v1"),
    ("payment", "payment.v1.PaymentService/Authorize", "lock.acquire"),
    ("payment", "payment.v1.PaymentService/Authorize", "INSERT outbox"),
    ("payment", "payment.v1.PaymentService/Authorize", "COMMIT"),
    ("user", "process order.confirmed.v1", "service.count_order"),
    ("user", "process order.confirmed.v1", "INSERT inbox"),
    ("user", "process order.confirmed.v1", "ack order.confirmed.v1"),
];

async fn start() -> Result<(Cluster, Collector)> {
    let (collector, address) = Collector::grpc(None).await?;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*format!("http://{address}")),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
    ];
    Ok((Cluster::start_with(&variables)?, collector))
}

async fn order(api: &Api, account: &Account, key: &str, headers: &[(&str, &str)]) -> Result<String> {
    let products = api.send(Method::GET, "order:/v1/products?limit=1", &[], None).await?;
    let items = json!([{"product_id": products.body["items"][0]["id"], "quantity": 1}]);
    let bearer = format!("Bearer {}", account.token);
    let own = [("authorization", bearer.as_str()), ("idempotency-key", key)];
    let body = json!({"items": items, "payment_token": "tok_ok"});
    let placed = api.send(Method::POST, "order:/v1/orders", &[&own[..], headers].concat(), Some(&body)).await?;
    ensure!(placed.status.as_u16() == 201, "{placed:?}");
    Ok(placed.text("id").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_orders_trace_is_whole() -> Result<()> {
    let (cluster, collector) = start().await?;
    let api = Api::new(&cluster)?;
    let account = api.sign_up().await?;
    // The keys of user's tokens are asked for before.
    api.get("order:/v1/orders", &account).await?;
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    order(&api, &account, "one", &[("traceparent", &parent), ("tracestate", "shop=ada"), ("x-canary", "true")]).await?;

    let give_up = Instant::now() + DEADLINE;
    let trace = loop {
        let seen = collector.seen();
        let trace = Trace::of(&seen, TRACE);
        let mut missing = trace.missing(&EDGES, &PARTS);
        // What the relays sent is a trace of its own, linked to the spans that recorded the events.
        let relays = ["order", "payment"].into_iter().filter(|service| !trace.is_linked_from(&seen, service, "send"));
        missing.extend(relays.map(|service| format!("{service}: a relay's span that is linked")));
        if missing.is_empty() {
            break trace;
        }
        ensure!(Instant::now() < give_up, "missing: {missing:#?}\nof\n{trace}");
        sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(
        trace.edges(),
        EDGES.map(|(from, to, span)| (from.to_owned(), to.to_owned(), span.to_owned())).into(),
        "{trace}"
    );
    assert!(trace.states().all(|state| state == "shop=ada"), "{trace}");
    Ok(())
}

/// Everything that a person and an operator do, on the embedded backends.
async fn everything(cluster: &Cluster) -> Result<()> {
    let api = Api::new(cluster)?;
    let (operator, account) = (api.operator(cluster).await?, api.sign_up().await?);
    let [kept, cancelled] = [order(&api, &account, "kept", &[]).await?, order(&api, &account, "cancelled", &[]).await?];
    for target in [
        format!("order:/v1/orders/{kept}"),
        "order:/v1/orders".to_owned(),
        "user:/v1/users/me".to_owned(),
        "user:/v1/users/me/sessions".to_owned(),
        "order:/nowhere".to_owned(),
    ] {
        api.get(&target, &account).await?;
    }
    sell(&api, &operator).await?;
    api.post(&format!("order:/v1/orders/{kept}/fulfil"), &operator, None, None).await?;
    api.post(&format!("order:/v1/orders/{cancelled}/cancel"), &account, None, None).await?;
    let query = json!({"query": format!("{{ order(id: \"{kept}\") {{ id customer {{ name }} }} }}")});
    api.post("order:/graphql", &account, None, Some(&query)).await?;
    stream(&cluster.process("order")?.http, &account).await?;
    api.post("user:/v1/users/me/email-verification", &account, None, None).await?;
    let wrong = json!({"email": account.email, "password": "wrong horse battery"});
    api.send(Method::POST, "user:/v1/sessions", &[], Some(&wrong)).await?;
    let bearer = format!("Bearer {}", account.token);
    let headers = [("authorization", bearer.as_str()), ("if-match", "*")];
    let (name, end) = (json!({"name": "Grace"}), json!({"current_password": "correct horse battery"}));
    api.send(Method::PATCH, "user:/v1/users/me", &headers, Some(&name)).await?;
    api.send(Method::DELETE, "user:/v1/users/me", &headers, Some(&end)).await?;
    Ok(())
}

/// What an operator does with a product.
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
    Ok(())
}

/// Opens a stream of Server-Sent Events, and one over a WebSocket, and leaves both.
async fn stream(order: &str, account: &Account) -> Result<()> {
    let host = order.strip_prefix("http://").context("no address")?;
    let upgrade = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (headers, status) in [("accept: text/event-stream\r\n", "200"), (upgrade, "101")] {
        let mut stream = TcpStream::connect(host).await?;
        let head = format!(
            "GET /v1/orders/stream HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\n{headers}\r\n",
            account.token
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        ensure!(answer.ends_with(status.as_bytes()), "{}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_is_what_the_registry_says() -> Result<()> {
    let (cluster, collector) = start().await?;
    everything(&cluster).await?;
    let give_up = Instant::now() + DEADLINE;
    loop {
        let missing = comparison::missing(&collector.seen());
        if missing.is_empty() {
            break;
        }
        ensure!(Instant::now() < give_up, "the registry has what nobody told: {missing:#?}");
        sleep(Duration::from_millis(500)).await;
    }
    let unknown = comparison::unknown(&collector.seen());
    assert!(unknown.is_empty(), "told, and not as the registry has it: {unknown:#?}");
    // The admin ports say it under Prometheus' names, and nothing else.
    let http = trireme::http::Http::new();
    for process in cluster.processes()? {
        let shown = http.text(&format!("{}/metrics", process.admin)).await?;
        assert_eq!(comparison::unknown_at_prometheus(&shown), Vec::<String>::new(), "{}", process.name);
    }
    Ok(())
}

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
