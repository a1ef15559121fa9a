//! What Alertmanager tells whom: the runbook is one click away, and what another alert explains is not told.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    process::Command,
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use anyhow::{Result, ensure};
use e2e::observe::{Running, TIMEOUT, deploy, free_port};
use http::Method;
use serde_json::{Value, json};
use testkit::servers::program;
use tokio::time::sleep;
use trireme::http::Http;

/// A chat's webhook: hands on what is posted.
fn webhook() -> Result<(String, Receiver<Value>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/", listener.local_addr()?);
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut length = 0;
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap_or_default();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            let whole = reader.read_exact(&mut body).is_ok();
            let _ = reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
            if whole && sender.send(serde_json::from_slice(&body).unwrap_or_default()).is_err() {
                return;
            }
        }
    });
    Ok((url, receiver))
}

fn alert(name: &str, severity: &str, job: &str) -> Value {
    json!({
        "labels": {"alertname": name, "severity": severity, "job": job},
        "annotations": {
            "summary": format!("{name} is told of."),
            "runbook_url": format!("https://example.org/runbook.md#{}", name.to_lowercase()),
        },
    })
}

/// Posts to both and waits for one of each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_woken_has_the_runbook_at_hand_and_is_not_told_twice() -> Result<()> {
    let Some(alertmanager) = program("alertmanager") else { return Ok(()) };
    let folder = testkit::temp_dir();
    for file in ["alertmanager.yml", "trireme.tmpl"] {
        let text = fs::read_to_string(deploy().join("alertmanager").join(file))?;
        fs::write(
            folder.path().join(file),
            text.replace("group_wait: 15s", "group_wait: 1s")
                .replace("/etc/alertmanager", &folder.path().display().to_string()),
        )?;
    }
    let ((page, pages), (ticket, tickets)) = (webhook()?, webhook()?);
    fs::create_dir(folder.path().join("secrets"))?;
    fs::write(folder.path().join("secrets/page"), page)?;
    fs::write(folder.path().join("secrets/ticket"), ticket)?;
    let url = format!("http://127.0.0.1:{}", free_port()?);
    let mut command = Command::new(alertmanager);
    command.arg(format!("--config.file={}", folder.path().join("alertmanager.yml").display()));
    command.arg(format!("--storage.path={}", folder.path().join("data").display()));
    command.arg(format!("--web.listen-address={}", url.trim_start_matches("http://"))).arg("--cluster.listen-address=");
    let ready = format!("{url}/-/ready");
    let _running = Running::start(&mut command, &folder.path().join("log"), &ready).await?;

    let alerts = json!([
        alert("ServiceDown", "page", "order"),
        alert("SagasStuck", "page", "order"),
        alert("DeadLetters", "ticket", "user"),
        alert("OutboxLag", "page", "payment"),
        alert("OutboxLag", "ticket", "payment"),
    ]);
    let posted = Http::new().send(Method::POST, &format!("{url}/api/v2/alerts"), &[], Some(&alerts)).await?;
    ensure!(posted.status.is_success(), "{posted:?}");

    let told = |receiver: &Receiver<Value>, count: usize| {
        let all = (0..count).map_while(|_| receiver.recv_timeout(TIMEOUT).ok());
        let mut all: Vec<_> = all.map(|one| one["attachments"][0].clone()).collect();
        all.sort_by_key(|one| one["title"].to_string());
        all
    };
    let (told_pages, told_tickets) = (told(&pages, 2), told(&tickets, 1));
    let titles = |told: &[Value]| told.iter().map(|one| one["title"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(titles(&told_pages), ["PAGE: OutboxLag in payment", "PAGE: ServiceDown in order"]);
    assert_eq!(titles(&told_tickets), ["TICKET: DeadLetters in user"]);
    assert_eq!(told_pages[1]["title_link"], "https://example.org/runbook.md#servicedown");
    let text = told_pages[1]["text"].as_str().unwrap();
    assert!(text.contains("ServiceDown is told of.") && text.contains("runbook.md#servicedown"), "{text}");
    // Nothing else comes: another second is another `group_wait`.
    sleep(Duration::from_secs(2)).await;
    let more: Vec<_> = pages.try_iter().chain(tickets.try_iter()).collect();
    assert!(more.is_empty(), "{more:?}");
    Ok(())
}
