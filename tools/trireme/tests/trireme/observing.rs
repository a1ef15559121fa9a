//! `trireme trace` and `trireme top`, over stand-ins for Jaeger and for the admin ports.

use std::{collections::HashMap, fs, process::Output};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::Command,
};
use trireme::{Addresses, Data, Service};

const ORDER: &str = "0197a1c4-5e0f-7a34-9c1e-0d8c2f6b7a11";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const READ: &str = "00000000000000000000000000000001";

/// What is answered at each path, whatever the query; elsewhere 404.
type Answers = HashMap<String, String>;

async fn answer(mut stream: TcpStream, answers: &Answers) {
    let mut request = vec![0; 8192];
    let read = stream.read(&mut request).await.unwrap();
    let line = String::from_utf8_lossy(&request[..read]).lines().next().unwrap_or_default().to_owned();
    let path = line.split([' ', '?']).nth(1).unwrap_or_default();
    let (status, body) = answers.get(path).map_or((404, "{}"), |body| (200, body));
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all((head + body).as_bytes()).await.unwrap();
}

/// Runs the tool while all these are served, at the URLs that it is given for them.
async fn trireme<const N: usize>(answers: [Answers; N], arguments: impl FnOnce(&[String; N]) -> Vec<String>) -> Output {
    let mut listeners = Vec::new();
    for _ in 0..N {
        listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let urls: Vec<_> = listeners.iter().map(|l| format!("http://{}", l.local_addr().unwrap())).collect();
    let arguments = arguments(&urls.try_into().unwrap());
    let serving = futures::future::join_all(listeners.iter().zip(&answers).map(|(listener, answers)| async move {
        loop {
            answer(listener.accept().await.unwrap().0, answers).await;
        }
    }));
    let mut command = Command::new(env!("CARGO_BIN_EXE_trireme"));
    tokio::select! {
        output = command.args(arguments).output() => output.unwrap(),
        _ = serving => unreachable!("they listen"),
    }
}

fn said(output: &Output) -> String {
    [output.stdout.as_slice(), &output.stderr].map(String::from_utf8_lossy).concat()
}

/// A trace of one span.
fn trace(id: &str, service: &str, method: &str, name: &str) -> Value {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    json!({"resourceSpans": [{
        "resource": {"attributes": [text("service.name", service)]},
        "scopeSpans": [{"spans": [{
            "traceId": id, "spanId": format!("{service:0>16}"), "name": name, "kind": 2,
            "startTimeUnixNano": "1000", "endTimeUnixNano": "2000",
            "attributes": [text("http.request.method", method), text("order.id", ORDER)],
        }]}],
    }]})
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test]
async fn an_orders_trace_comes_from_jaeger_where_there_is_one() {
    let found = json!({"data": [{"traceID": TRACE}, {"traceID": READ.trim_start_matches('0')}]});
    let placing = json!({"result": trace(TRACE, "order", "POST", "POST /v1/orders")});
    let reading = json!({"result": trace(READ, "order", "GET", "GET /v1/orders/{id}")});
    let jaeger = [
        ("/api/traces".to_owned(), found.to_string()),
        (format!("/api/v3/traces/{TRACE}"), placing.to_string()),
        (format!("/api/v3/traces/{READ}"), reading.to_string()),
    ];
    let output = trireme([jaeger.into()], |[url]| words(&format!("trace {ORDER} --jaeger {url}"))).await;
    let text = said(&output);
    assert!(output.status.success() && text.contains(TRACE) && text.contains("POST /v1/orders"), "{text}");
    assert!(!text.contains("GET /v1/orders"), "who only looked is left out: {text}");
    assert!(!text.contains('\u{1b}'), "colours belong on a terminal only");
}

#[tokio::test]
async fn what_is_not_there_is_said_with_what_to_do() {
    let nobody = format!("http://127.0.0.1:{}", testkit::free_port());
    let cases = [
        (format!("trace {ORDER} --jaeger {nobody}"), "--jaeger"),
        (format!("trace {ORDER} --jaeger NONE"), "no spans of"),
        ("trace tea".to_owned(), "GET /v1/orders"),
    ];
    for (line, expected) in cases {
        let output = trireme([Answers::new()], |[url]| words(&line.replace("NONE", url))).await;
        assert!(!output.status.success() && said(&output).contains(expected), "{line}: {}", said(&output));
    }
}

/// A data directory on which a supervisor seems to run, with admin ports at these URLs.
fn running(folder: &std::path::Path, admins: &[String; 3]) -> (Data, trireme::Lock) {
    let data = Data::create(folder).unwrap();
    let services = Service::ALL.into_iter().zip(admins).map(|(name, admin)| {
        let addresses = Addresses { http: admin.clone(), grpc: admin.clone(), admin: admin.clone() };
        json!({"name": name, "pid": null, "started": null, "version": "1", "ready": true, "restarts": 0,
            "http": addresses.http, "grpc": addresses.grpc, "admin": addresses.admin})
    });
    let state = json!({"version": "1", "pid": null, "seeded": true, "services": services.collect::<Vec<_>>()});
    fs::write(folder.join("state.json"), state.to_string()).unwrap();
    let lock = data.lock().unwrap().unwrap();
    (data, lock)
}

#[tokio::test]
async fn an_orders_trace_is_put_together_from_all_services() {
    let folder = tempfile::tempdir().unwrap();
    let admin = |service: &str, name: &str| {
        let spans = trace(TRACE, service, "POST", name).to_string();
        Answers::from([("/debug/traces".to_owned(), spans.clone()), (format!("/debug/traces/{TRACE}"), spans)])
    };
    let admins = [admin("user", "process"), admin("order", "POST /v1/orders"), admin("payment", "Authorize")];
    let mut held = None;
    let output = trireme(admins, |urls| {
        held = Some(running(folder.path(), urls));
        words(&format!("trace {ORDER} --data {}", folder.path().display()))
    })
    .await;
    let text = said(&output);
    assert!(text.contains("3 spans of order, payment, user"), "{text}");
    assert_eq!(text.matches(TRACE).count(), 1, "one trace, told once: {text}");
}

#[tokio::test]
async fn services_that_keep_no_spans_say_how_they_would() {
    let folder = tempfile::tempdir().unwrap();
    let mut held = None;
    let output = trireme([Answers::new(), Answers::new(), Answers::new()], |urls| {
        held = Some(running(folder.path(), urls));
        words(&format!("trace {TRACE} --data {}", folder.path().display()))
    })
    .await;
    assert!(!output.status.success() && said(&output).contains("RECENT_SPANS"), "{}", said(&output));
}

#[tokio::test]
async fn the_table_has_who_answers_and_who_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Answers::from([("/metrics".to_owned(), "messaging_outbox_waiting 7\n".to_owned())]);
    let mut held = None;
    let output = trireme([metrics.clone(), metrics, Answers::new()], |urls| {
        held = Some(running(folder.path(), urls));
        words(&format!("top --once --data {}", folder.path().display()))
    })
    .await;
    let text = said(&output);
    assert!(output.status.success() && text.contains("payment  does not answer"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("user") && line.contains(" 7 ")), "{text}");
}
