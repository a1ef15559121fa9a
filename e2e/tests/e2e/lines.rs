//! The lines of a service: changed while it runs, and nobody's obligation to read.

use anyhow::{Context as _, Result, ensure};
use auth::{CREDENTIAL_HEADER, Credential};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use testkit::eventually;

use crate::export::{DEADLINE, SECRET, Service, exchange};

/// Far more lines than a pipe holds.
const REQUESTS: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_read_them_holds_up_nobody() -> Result<()> {
    let service = Service::spawn(&[])?;
    for _ in 0..REQUESTS {
        let answered = tokio::time::timeout(DEADLINE, service.request()).await;
        answered.context("a request waits for whoever reads the lines")??;
    }
    let shown = exchange(&service.admin, "GET /metrics", "", b"").await?;
    assert!(shown.contains(r#"log_lines_dropped_total{error_type="queue_full""#), "{shown}");
    let output = service.end().await?;
    ensure!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout)?;
    assert_eq!(lines.matches("GET /v1/users/me 401").count(), REQUESTS, "lines are lost that there was place for");
    Ok(())
}

/// How many lines a service says that standard output refused.
async fn refused(service: &Service) -> Result<u64> {
    let shown = exchange(&service.admin, "GET /metrics", "", b"").await?;
    let line = shown.lines().find(|line| line.starts_with(r#"log_lines_dropped_total{error_type="refused""#));
    Ok(line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default())
}

/// `/dev/full` of Linux is a disk that is full.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_standard_output_refuses_is_counted() -> Result<()> {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full")?;
    let service = Service::spawn_to(full.into(), &[])?;
    service.request().await?;
    // Those of the start, and the request's.
    eventually!(refused(&service).await? > 1);
    ensure!(service.end().await?.status.success(), "a full disk of lines is no reason to fail");
    Ok(())
}

struct Operator<'a>(&'a Service);

impl Operator<'_> {
    async fn send(&self, method: &str, body: &str, secret: &str) -> Result<String> {
        let credential = Credential::new(secret, "trireme").header_value();
        let credential = credential.to_str()?;
        let headers = format!("content-type: application/json\r\n{CREDENTIAL_HEADER}: {credential}\r\n");
        exchange(&self.0.admin, &format!("{method} /log-filter"), &headers, body.as_bytes()).await
    }

    async fn is(&self, filter: &str) -> bool {
        let shown = self.send("GET", "", SECRET).await.unwrap_or_default();
        shown.contains(&format!(r#""filter":"{filter}""#))
    }

    fn signal(&self) -> Result<()> {
        let pid = self.0.child.id().context("it has ended")?;
        Ok(kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGUSR1)?)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_changes_them_for_a_while() -> Result<()> {
    let service = Service::spawn(&[("TRIREME_TELEMETRY__LOG", "warn")])?;
    service.request().await?;
    let operator = Operator(&service);
    for (method, body, secret, status) in [
        ("GET", "", "a guess", "401"),
        ("PUT", r#"{"filter":"trace"}"#, "a guess", "401"),
        ("DELETE", "", "a guess", "401"),
        ("PUT", r#"{"filter":"user=loud"}"#, SECRET, "422"),
        ("PUT", r#"{"filter":"debug","seconds":0}"#, SECRET, "422"),
        ("PUT", r#"{"filter":"debug","seconds":86401}"#, SECRET, "422"),
    ] {
        let answer = operator.send(method, body, secret).await?;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{method} {body}: {answer}");
        assert!(operator.is("warn").await, "{method} {body}");
    }
    let changed = operator.send("PUT", r#"{"filter":"info"}"#, SECRET).await?;
    assert!(changed.contains(r#""ends_in_seconds":599"#) || changed.contains(r#""ends_in_seconds":600"#), "{changed}");
    service.request().await?;
    assert!(operator.send("DELETE", "", SECRET).await?.starts_with("HTTP/1.1 204"));
    service.request().await?;
    // By itself.
    operator.send("PUT", r#"{"filter":"error","seconds":1}"#, SECRET).await?;
    assert!(operator.is("error").await);
    eventually!(operator.is("warn").await);
    // From a terminal beside it.
    operator.signal()?;
    eventually!(operator.is("debug").await);
    operator.signal()?;
    eventually!(operator.is("warn").await);
    let output = service.end().await?;
    let lines = String::from_utf8(output.stdout)?;
    assert_eq!(lines.matches("GET /v1/users/me 401").count(), 1, "the one between change and return: {lines}");
    Ok(())
}
