//! What receives telemetry: the real collector and Prometheus with the configuration of `deploy/`, on free ports, ended on
//! drop.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use trireme::{http::Http, trace::Span};

use crate::{Cluster, Process};

/// Everything here starts, and says what is asked of it, long before that.
pub const TIMEOUT: Duration = Duration::from_mins(1);

/// The folder `deploy` of the repository.
pub fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// A port that nobody listens on.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn program(name: &str) -> Result<PathBuf> {
    servers::program(name).with_context(|| format!("{name} is not installed: make observe"))
}

/// GET, and the answer as text.
///
/// # Errors
/// There is none.
pub async fn fetch(address: &str, path: &str, headers: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: test\r\n{headers}\r\n").as_bytes()).await?;
    let mut answer = String::new();
    timeout(TIMEOUT, stream.read_to_string(&mut answer)).await??;
    Ok(answer)
}

/// A program that runs until this is dropped.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Starts it, with its output in a file, and waits until an address answers with success.
    ///
    /// # Errors
    /// It cannot be run, or does not answer in time.
    pub async fn start(command: &mut Command, log: &Path, ready: &str) -> Result<Self> {
        let output = File::create(log)?;
        let child = command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn()?;
        let mut running = Self(child);
        let (http, deadline) = (Http::new(), Instant::now() + TIMEOUT);
        while !http.get(ready).await.is_ok_and(|answer| answer.status.is_success()) {
            let runs = running.0.try_wait()?.is_none() && Instant::now() < deadline;
            ensure!(runs, "{command:?}: {}", fs::read_to_string(log)?);
            sleep(Duration::from_millis(50)).await;
        }
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The collector with the shipped configuration; the traces that it keeps are written to a file.
#[derive(Debug)]
pub struct Collector {
    folder: TempDir,
    /// Where it takes OTLP over gRPC.
    pub otlp: String,
    /// Where it shows its own metrics, and those of spans.
    pub metrics: [u16; 2],
    _running: Running,
}

impl Collector {
    /// Starts it.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub async fn start() -> Result<Self> {
        let otelcol = program("otelcol")?;
        let folder = tempfile::tempdir()?;
        let [grpc, http, health] = [free_port()?, free_port()?, free_port()?];
        let [own, spans] = [free_port()?, free_port()?];
        let file = folder.path().join("file.yaml");
        let kept = folder.path().join("kept.json");
        fs::write(
            &file,
            format!(
                "exporters: {{ file: {{ path: {} }} }}\n\
                 service: {{ pipelines: {{ traces/sampled: {{ exporters: [file] }} }} }}\n",
                kept.display()
            ),
        )?;
        let mut command = Command::new(otelcol);
        command.arg("--config").arg(deploy().join("otel-collector/config.yaml")).arg("--config").arg(file);
        for (name, port) in [("OTLP_GRPC", grpc), ("OTLP_HTTP", http), ("HEALTH", health), ("METRICS", spans)] {
            command.env(format!("{name}_LISTEN"), format!("127.0.0.1:{port}"));
        }
        command.env("SELF_METRICS_HOST", "127.0.0.1").env("SELF_METRICS_PORT", own.to_string());
        let ready = format!("http://127.0.0.1:{health}/");
        let running = Running::start(&mut command, &folder.path().join("log"), &ready).await?;
        let otlp = format!("http://127.0.0.1:{grpc}");
        Ok(Self { folder, otlp, metrics: [own, spans], _running: running })
    }

    /// The traces that were kept, as they would be sent on: OTLP in JSON, a line each.
    pub fn kept(&self) -> String {
        fs::read_to_string(self.folder.path().join("kept.json")).unwrap_or_default()
    }

    /// Those spans of them that are wanted; there may be more than there is memory for.
    ///
    /// # Errors
    /// The file cannot be read, or is not of its form.
    pub fn spans(&self, wanted: impl Fn(&Span) -> bool) -> Result<Vec<Span>> {
        let mut spans = Vec::new();
        for line in BufReader::new(File::open(self.folder.path().join("kept.json"))?).lines() {
            spans.extend(Span::read(&serde_json::from_str(&line?)?).into_iter().filter(|span| wanted(span)));
        }
        Ok(spans)
    }
}

/// Prometheus with the shipped rules.
#[derive(Debug)]
pub struct Prometheus {
    folder: TempDir,
    /// Where it answers.
    pub url: String,
    http: Http,
    _running: Running,
}

impl Prometheus {
    /// Starts it, to read the services of a cluster and the collector.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub async fn start(cluster: &Cluster, collector: &Collector) -> Result<Self> {
        let prometheus = program("prometheus")?;
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("prometheus.yml");
        fs::write(&config, configuration(collector))?;
        for Process { name, admin, .. } in cluster.processes()? {
            fs::write(folder.path().join(format!("{name}-v1.json")), target(&name, "v1", &admin))?;
        }
        let url = format!("http://127.0.0.1:{}", free_port()?);
        let mut command = Command::new(prometheus);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={}", url.trim_start_matches("http://")));
        command.arg("--enable-feature=exemplar-storage");
        let running = Running::start(&mut command, &folder.path().join("log"), &format!("{url}/-/ready")).await?;
        Ok(Self { folder, url, http: Http::new(), _running: running })
    }

    /// Has it read another process: its service, its version and the base URL of its admin port.
    ///
    /// # Errors
    /// The file with it cannot be written.
    pub fn read(&self, service: &str, version: &str, admin: &str) -> Result<()> {
        let file = self.folder.path().join(format!("{service}-{version}.json"));
        // Prometheus looks at its folder: it must not see half a file.
        let draft = file.with_extension("new");
        fs::write(&draft, target(service, version, admin))?;
        Ok(fs::rename(draft, file)?)
    }

    /// `data` of an answer of its API.
    ///
    /// # Errors
    /// It does not answer, or not well.
    pub async fn ask(&self, path: &str, parameter: &str, value: &str) -> Result<Value> {
        let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
        let answer = self.http.get(&format!("{}/api/v1/{path}?{parameter}={value}", self.url)).await?;
        ensure!(answer.status.is_success(), "{path} {value}: {answer:?}");
        Ok(answer.body["data"].clone())
    }
}

/// A process to be read, as `deploy/prometheus/prometheus.yml` has it.
fn target(service: &str, version: &str, admin: &str) -> String {
    let address = admin.trim_start_matches("http://");
    json!([{"targets": [address], "labels": {"job": service, "version": version}}]).to_string()
}

/// As `deploy/prometheus/prometheus.yml` has it, where processes have ports of their own: in files beside it.
fn configuration(collector: &Collector) -> String {
    let [own, spans] = collector.metrics;
    format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
         rule_files: [\"{}/prometheus/rules/*.yaml\"]\n\
         scrape_configs:\n\
         - {{ job_name: services, file_sd_configs: [{{ files: [\"*.json\"] }}] }}\n\
         - {{ job_name: otel-collector, static_configs: [{{ targets: [\"127.0.0.1:{own}\", \"127.0.0.1:{spans}\"] }}] }}\n",
        deploy().display(),
    )
}

/// Everything together.
#[derive(Debug)]
pub struct Stack {
    /// The services.
    pub cluster: Cluster,
    /// What reads them.
    pub prometheus: Prometheus,
    /// What takes their spans.
    pub collector: Collector,
}

impl Stack {
    /// Starts it by `trireme up` with these arguments.
    ///
    /// # Errors
    /// Something is not installed, or does not start.
    pub async fn start(arguments: &[&str]) -> Result<Self> {
        let collector = Collector::start().await?;
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.otlp),
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_BSP_SCHEDULE_DELAY", "200"),
        ];
        let cluster = Cluster::up(&[&["up", "--detach"], arguments].concat(), &variables).context("trireme up")?;
        let prometheus = Prometheus::start(&cluster, &collector).await?;
        Ok(Self { cluster, prometheus, collector })
    }
}
