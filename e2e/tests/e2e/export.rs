//! What a service sends over OTLP, and what it does where that cannot be.

pub(crate) mod collector;

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use e2e::binary;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use self::collector::{Collector, Seen};

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// By which services, and the operators' tool, know each other.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A user service on files of its own, with these variables.
pub(crate) struct Service {
    pub(crate) child: Child,
    pub(crate) address: String,
    grpc: String,
    pub(crate) admin: String,
    folder: tempfile::TempDir,
}

impl Service {
    pub(crate) fn spawn(variables: &[(&str, &str)]) -> Result<Self> {
        Self::spawn_to(Stdio::piped(), variables)
    }

    /// Its lines go there.
    pub(crate) fn spawn_to(lines: Stdio, variables: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let [port, grpc, admin] = [(); 3].map(|()| testkit::free_port());
        std::fs::create_dir(folder.path().join(".trireme"))?;
        std::fs::write(folder.path().join(".trireme/service.credential"), SECRET)?;
        let child = Command::new(binary("user")?)
            .current_dir(folder.path())
            .env("TRIREME_HTTP__PORT", port.to_string())
            .env("TRIREME_GRPC__PORT", grpc.to_string())
            .env("TRIREME_ADMIN__PORT", admin.to_string())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(lines)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let [address, grpc, admin] = [port, grpc, admin].map(|port| format!("127.0.0.1:{port}"));
        Ok(Self { child, address, grpc, admin, folder })
    }

    /// Has one request answered; returns how long that took, once the service is there.
    pub(crate) async fn request(&self) -> Result<Duration> {
        let give_up = Instant::now() + DEADLINE;
        while TcpStream::connect(&self.address).await.is_err() {
            ensure!(Instant::now() < give_up, "user does not start");
            sleep(Duration::from_millis(10)).await;
        }
        let start = Instant::now();
        let answer = exchange(&self.address, "GET /v1/users/me", "", b"").await?;
        ensure!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        Ok(start.elapsed())
    }

    /// A file of it, by its name below `.trireme`.
    pub(crate) fn file(&self, name: &str) -> String {
        format!("{}/.trireme/{name}", self.folder.path().display())
    }

    /// Ends it as an orchestrator does.
    pub(crate) async fn end(self) -> Result<Output> {
        let pid = self.child.id().context("it has ended")?;
        kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
        self.output().await
    }

    async fn output(self) -> Result<Output> {
        Ok(timeout(DEADLINE, self.child.wait_with_output()).await.context("it does not end")??)
    }
}

/// One request on a connection of its own, and the answer as it came.
pub(crate) async fn exchange(address: &str, line: &str, headers: &str, body: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let length = body.len();
    let head =
        format!("{line} HTTP/1.1\r\nhost: user\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).await?;
    let mut answer = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

async fn export(collector: Collector, variables: &[(&str, &str)]) -> Result<Seen> {
    let always = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-team=night%20watch"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=pod-1,deployment.environment.name=night%20shift"),
        ("OTEL_SERVICE_NAME", ""),
        ("TRIREME_TELEMETRY__LOG", "debug"),
    ];
    let service = Service::spawn(&[&always[..], variables].concat())?;
    service.request().await?;
    let output = service.end().await?;
    ensure!(output.status.success(), "{output:?}");
    Ok(collector.seen())
}

fn check(seen: &Seen) {
    assert!(seen.metrics.contains("http.server.request.duration"), "{:?}", seen.metrics);
    assert!(!seen.traces.is_empty(), "no spans");
    assert!(
        seen.logged.intersection(&seen.traces).next().is_some(),
        "no log record with the trace of a span: {seen:?}"
    );
    for attribute in ["service.name=user", "service.instance.id=pod-1", "deployment.environment.name=night shift"] {
        assert!(seen.resources.contains(attribute), "{attribute}: {:?}", seen.resources);
    }
    assert!(seen.teams.contains("night watch"), "{:?}", seen.teams);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_signals_arrive_by_grpc() -> Result<()> {
    let (collector, address) = Collector::grpc(None).await?;
    check(&export(collector, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}"))]).await?);
    let (collector, address) = Collector::grpc(None).await?;
    let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "true");
    check(&export(collector, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &address), insecure]).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_signals_arrive_by_http() -> Result<()> {
    let (collector, address) = Collector::http().await?;
    let endpoint = format!("http://{address}");
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")];
    check(&export(collector, &variables).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_signals_arrive_encrypted() -> Result<()> {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let identity = tonic::transport::Identity::from_pem(own.cert.pem(), own.signing_key.serialize_pem());
    let (collector, address) = Collector::grpc(Some(identity)).await?;
    let folder = tempfile::tempdir()?;
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, own.cert.pem())?;
    let endpoint = format!("https://{}", address.replace("127.0.0.1", "localhost"));
    let trusted = ("OTEL_EXPORTER_OTLP_CERTIFICATE", authority.to_str().context("path")?);
    check(&export(collector.clone(), &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), trusted]).await?);
    // Whom nobody vouches for is sent nothing.
    let (stranger, _) = Collector::grpc(None).await?;
    let before = collector.seen().traces.len();
    export(stranger, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]).await?;
    assert_eq!(collector.seen().traces.len(), before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_is_said_and_holds_up_nobody() -> Result<()> {
    let away = format!("http://127.0.0.1:{}", testkit::free_port());
    for protocol in ["grpc", "http/protobuf"] {
        let quickly = ("OTEL_BSP_SCHEDULE_DELAY", "50");
        let at = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*away), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol), quickly];
        let service = Service::spawn(&at)?;
        let took = service.request().await?;
        assert!(took < Duration::from_secs(1), "{took:?}");
        let output = service.end().await?;
        assert!(output.status.success(), "{output:?}");
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(lines.contains("telemetry is lost at the end"), "{protocol}: {lines}");
        assert!(lines.contains("are not delivered"), "{protocol}: {lines}");
    }
    Ok(())
}

/// It accepts and never answers. Each of the three signals has 3 s at the end, and all of them no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_silent_holds_up_the_end_for_a_moment_only() -> Result<()> {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", silent.local_addr()?);
    for protocol in ["grpc", "http/protobuf"] {
        let at = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)];
        let service = Service::spawn(&at)?;
        service.request().await?;
        let start = Instant::now();
        let output = service.end().await?;
        assert!(output.status.success(), "{output:?}");
        assert!(start.elapsed() < Duration::from_secs(5), "{protocol}: {:?}", start.elapsed());
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(lines.contains("telemetry is lost at the end"), "{protocol}: {lines}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_used_is_refused_at_the_start() -> Result<()> {
    let output = Service::spawn(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")])?.output().await?;
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("OTEL_EXPORTER_OTLP_PROTOCOL cannot be used: must be grpc or http/protobuf"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_strangers_make_up_are_no_series() -> Result<()> {
    // Nobody reads its lines while it runs.
    let service = Service::spawn(&[("TRIREME_TELEMETRY__LOG", "warn")])?;
    service.request().await?;
    let size = async || Ok::<_, anyhow::Error>(exchange(&service.admin, "GET /metrics", "", b"").await?);
    let before = size().await?;
    for number in 0..200 {
        let method = format!("POST /user.v1.UserService/MadeUp{number}");
        exchange(&service.grpc, &method, "content-type: application/grpc-web+proto\r\n", &[0; 5]).await?;
        exchange(&service.grpc, &format!("POST /made.Up{number}/Call"), "content-type: application/grpc\r\n", b"")
            .await?;
        exchange(&service.address, &format!("GET /v1/users/MadeUp{number}"), "", b"").await?;
        exchange(&service.address, &format!("GET /MadeUp{number}"), "", b"").await?;
        exchange(&service.address, &format!("MADEUP{number} /v1/users"), "", b"").await?;
    }
    let after = size().await?;
    assert!(after.contains(r#"rpc_method="_OTHER""#), "{after}");
    assert!(!after.to_ascii_lowercase().contains("madeup") && !after.contains("made."), "{after}");
    // A few more series, for statuses that were not there before.
    assert!(after.len() < before.len() + 20_000, "{} bytes were {}", after.len(), before.len());
    service.end().await?;
    Ok(())
}

/// Whoever looks at a metric is told what it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_is_explained() -> Result<()> {
    let service = Service::spawn(&[])?;
    service.request().await?;
    let shown = exchange(&service.admin, "GET /metrics", "", b"").await?;
    let types = shown.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let explained = |name: &&str| shown.contains(&format!("# HELP {name} "));
    assert_eq!(types.filter(|name| !explained(name)).collect::<Vec<_>>(), Vec::<&str>::new());
    service.end().await?;
    Ok(())
}
