//! The commands that look at a deployment, where something is wrong with it.

use std::{process::Output, sync::Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::Command,
};

async fn trireme(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trireme")).args(arguments).output().await.unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Takes in customers and has no catalogue.
fn shop(line: &str) -> (u16, String) {
    let (status, body) = match line {
        "POST /v1/users HTTP/1.1" => (201, "{}"),
        "POST /v1/sessions HTTP/1.1" => (200, r#"{"access_token":"x"}"#),
        "DELETE /v1/users/me HTTP/1.1" => (202, "{}"),
        _ => (503, "{}"),
    };
    (status, body.to_owned())
}

/// Knows of two versions that are equally fast and have no error, and of which one leaves orders undecided.
fn prometheus(line: &str) -> (u16, String) {
    let values: &[(&str, &str, &str)] = if line.contains("202") {
        &[("v2", "", "30")]
    } else if line.contains("bucket") {
        &[("v1", "0.1", "1000"), ("v1", "+Inf", "1000"), ("v2", "0.1", "200"), ("v2", "+Inf", "200")]
    } else if line.contains("status") {
        &[]
    } else {
        &[("v1", "", "1000"), ("v2", "", "200")]
    };
    let results = values.iter().map(|(version, le, value)| {
        format!(r#"{{"metric":{{"version":"{version}","le":"{le}"}},"value":[0,"{value}"]}}"#)
    });
    (200, format!(r#"{{"data":{{"result":[{}]}}}}"#, results.collect::<Vec<_>>().join(",")))
}

/// Answers one request; remembers what it was asked.
async fn answer(mut stream: TcpStream, says: fn(&str) -> (u16, String), asked: &Mutex<Vec<String>>) {
    let mut request = vec![0; 8192];
    let read = stream.read(&mut request).await.unwrap();
    let line = String::from_utf8_lossy(&request[..read]).lines().next().unwrap_or_default().to_owned();
    let (status, body) = says(&line);
    asked.lock().unwrap().push(line);
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all((head + &body).as_bytes()).await.unwrap();
}

/// Runs a command, with the address of a server that says this at its end; returns what the server was asked, too.
async fn beside(says: fn(&str) -> (u16, String), arguments: &[&str]) -> (Output, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, asked) = (format!("http://{}", listener.local_addr().unwrap()), Mutex::default());
    let serve = async {
        loop {
            answer(listener.accept().await.unwrap().0, says, &asked).await;
        }
    };
    let arguments = [arguments, &[&url]].concat();
    let output = tokio::select! {
        output = trireme(&arguments) => output,
        () = serve => unreachable!("it listens"),
    };
    (output, asked.into_inner().unwrap())
}

#[tokio::test]
async fn a_smoke_test_that_fails_leaves_no_account_behind() {
    let (output, asked) = beside(shop, &["smoke"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("listing products"), "{}", said(&output));
    assert_eq!(asked.last().unwrap(), "DELETE /v1/users/me HTTP/1.1");
}

#[tokio::test]
async fn a_version_that_leaves_orders_undecided_is_a_no_go() {
    let (output, _) = beside(prometheus, &["canary", "order", "--prometheus"]).await;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{told}{}", said(&output));
    assert!(told.contains("30 of its requests failed"), "{told}");
}

#[tokio::test]
async fn without_prometheus_there_is_no_verdict() {
    let nobody = format!("http://127.0.0.1:{}", testkit::free_port());
    let output = trireme(&["canary", "order", "--prometheus", &nobody]).await;
    assert_eq!(output.status.code(), Some(1), "an error, neither go nor no-go");
    assert!(said(&output).contains("--prometheus") && !said(&output).contains("query="), "{}", said(&output));
    let output = trireme(&["canary", "basket"]).await;
    assert!(output.status.code() == Some(1) && said(&output).contains("user, order, payment"), "{}", said(&output));
}
