//! The other ways in: GraphQL, and the streams over Server-Sent Events and `WebSocket`, each with its right parent.

use std::collections::HashMap;

use anyhow::{Context as _, Result, ensure};
use e2e::{Account, Api};
use futures::{SinkExt as _, StreamExt as _};
use http::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

use super::{
    DEADLINE, TRACE, start,
    tree::{EDGES, PARTS, Trace},
};

/// The caller's span.
const PARENT: &str = "00f067aa0ba902b7";

/// The trace of a stream, the request that opens it, and what stands under that.
type Stream = (&'static str, &'static str, &'static [(&'static str, &'static str, &'static str)]);

const STREAMS: [Stream; 4] = [
    (
        "0af7651916cd43dd8448eb211c80319c",
        "GET /v1/orders/stream",
        &[("order", "GET /v1/orders/stream", "watch_orders")],
    ),
    (
        "1bf7651916cd43dd8448eb211c80319c",
        "GET /v1/orders/stream",
        &[("order", "GET /v1/orders/stream", "watch_orders")],
    ),
    (
        "2cf7651916cd43dd8448eb211c80319c",
        "POST /graphql/stream",
        &[("order", "POST /graphql/stream", "subscription"), ("order", "subscription", "watch_orders")],
    ),
    (
        "3df7651916cd43dd8448eb211c80319c",
        "GET /graphql/stream",
        &[("order", "GET /graphql/stream", "subscription"), ("order", "subscription", "watch_orders")],
    ),
];

const SUBSCRIPTION: &str = "subscription { orderEvents { type } }";

fn headers(account: &Account, trace: &str) -> Vec<(&'static str, String)> {
    let parent = format!("00-{trace}-{PARENT}-01");
    vec![
        ("authorization", format!("Bearer {}", account.token)),
        ("traceparent", parent),
        ("x-canary", "true".to_owned()),
    ]
}

/// Places an order by a mutation.
async fn place(api: &Api, account: &Account) -> Result<()> {
    let products = api.send(Method::GET, "order:/v1/products?limit=1", &[], None).await?;
    let input = json!({
        "items": [{"productId": products.body["items"][0]["id"], "quantity": 1}],
        "paymentToken": "tok_ok",
    });
    let query =
        "mutation($input: PlaceOrderInput!) { placeOrder(idempotencyKey: \"k\", input: $input) { order { id } } }";
    let headers = headers(account, TRACE);
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let body = json!({"query": query, "variables": {"input": input}});
    let placed = api.send(Method::POST, "order:/graphql", &headers, Some(&body)).await?;
    ensure!(placed.body["data"]["placeOrder"]["order"]["id"].is_string(), "{placed:?}");
    Ok(())
}

/// Opens a stream of Server-Sent Events, and leaves it when the first has come.
async fn events(host: &str, head: &str, headers: &[(&str, String)], body: &str) -> Result<()> {
    let lines = headers.iter().fold(String::new(), |lines, (name, value)| format!("{lines}{name}: {value}\r\n"));
    let request = format!(
        "{head} HTTP/1.1\r\nhost: {host}\r\n{lines}accept: text/event-stream\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("data:") {
        let read = timeout(DEADLINE, stream.read_buf(&mut answer)).await??;
        ensure!(read > 0, "{}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}

/// The same over a WebSocket, after these have been said.
async fn socket(host: &str, path: &str, headers: Vec<(&'static str, String)>, said: &[String]) -> Result<()> {
    let mut request = format!("ws://{host}{path}").into_client_request()?;
    for (name, value) in headers {
        request.headers_mut().insert(name, value.parse()?);
    }
    let (mut socket, _) = tokio_tungstenite::client_async(request, TcpStream::connect(host).await?).await?;
    for text in said {
        socket.send(Message::text(text)).await?;
    }
    loop {
        let message = timeout(DEADLINE, socket.next()).await?.context("it was closed")??;
        if matches!(&message, Message::Text(text) if text.to_lowercase().contains("ready")) {
            break;
        }
    }
    socket.close(None).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_in_goes_on_with_the_callers_trace() -> Result<()> {
    let (cluster, collector) = start(&[]).await?;
    let api = Api::new(&cluster)?;
    let account = api.sign_up().await?;
    api.get("order:/v1/orders", &account).await?;
    place(&api, &account).await?;
    let address = cluster.process("order")?.http;
    let host = address.strip_prefix("http://").context("no address")?;
    let of = |stream: usize| headers(&account, STREAMS[stream].0);
    events(host, "GET /v1/orders/stream", &of(0), "").await?;
    socket(host, "/v1/orders/stream", of(1), &[]).await?;
    events(host, "POST /graphql/stream", &of(2), &json!({"query": SUBSCRIPTION}).to_string()).await?;
    let said = [
        json!({"type": "connection_init"}),
        json!({"type": "subscribe", "id": "1", "payload": {"query": SUBSCRIPTION}}),
    ];
    let protocol = ("sec-websocket-protocol", "graphql-transport-ws".to_owned());
    socket(host, "/graphql/stream", [of(3), vec![protocol]].concat(), &said.map(|said| said.to_string())).await?;

    // As by REST, but for the request and the operation in it.
    let by_graphql = HashMap::from([("POST /v1/orders", "POST /graphql")]);
    let edges = EDGES.map(|(from, to, span)| (from, to, *by_graphql.get(span).unwrap_or(&span)));
    let parts = PARTS.map(|(of, above, span)| (of, *by_graphql.get(above).unwrap_or(&above), span));
    let operation = [("order", "POST /graphql", "mutation"), ("order", "mutation", "place_order")];
    let parts = [&parts[..], &operation].concat();
    let mut expected = vec![(TRACE, "POST /graphql", edges.to_vec(), parts)];
    expected.extend(STREAMS.map(|(trace, root, parts)| (trace, root, vec![("", "order", root)], parts.to_vec())));
    let give_up = Instant::now() + DEADLINE;
    for (trace, root, edges, parts) in expected {
        loop {
            let trace = Trace::of(&collector.seen(), trace);
            let missing = trace.missing(&edges, &parts);
            if missing.is_empty() {
                assert_eq!(trace.edges(), edges.into_iter().collect(), "{trace}");
                assert_eq!(trace.parents(root).collect::<Vec<_>>(), [PARENT], "{trace}");
                assert!(trace.is_marked(), "{trace}");
                break;
            }
            ensure!(Instant::now() < give_up, "missing: {missing:#?}\nof\n{trace}");
            sleep(DEADLINE / 400).await;
        }
    }
    Ok(())
}
