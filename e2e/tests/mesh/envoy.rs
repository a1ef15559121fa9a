//! A real Envoy with the configuration that compose has, its addresses replaced by those of the test's processes, and what
//! Istio would tell it taken from the chart.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use trireme::http::Http;

use crate::chart::Chart;

pub(crate) const TEMPLATE: &str = include_str!("../../../deploy/envoy/envoy.yaml");
/// Envoy is ready long before that.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where one process listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) http: u16,
    pub(crate) grpc: u16,
    pub(crate) admin: u16,
}

/// The ports of a configuration and those that stand for them here.
#[derive(Clone, Debug)]
pub(crate) struct Listeners {
    ports: BTreeMap<u16, u16>,
    admin: u16,
}

impl Listeners {
    /// Picks a free port for each listener of the configuration.
    pub(crate) fn pick() -> Self {
        let ports = [8080, 8081, 8082, 9090, 9091].map(|port| (port, testkit::free_port()));
        Self { ports: ports.into(), admin: testkit::free_port() }
    }

    /// The base URL of the listener that the configuration has on this port.
    pub(crate) fn url(&self, port: u16) -> String {
        format!("http://127.0.0.1:{}", self.ports[&port])
    }
}

/// A running Envoy, killed on drop.
pub(crate) struct Envoy {
    child: Child,
    admin: String,
}

impl Envoy {
    /// Starts it with a configuration for these listeners.
    pub(crate) async fn start(program: &Path, folder: &Path, listeners: &Listeners, rendered: &Value) -> Result<Self> {
        let config = folder.join("envoy.json");
        std::fs::write(&config, rendered.to_string())?;
        let log = std::fs::File::create(folder.join("envoy.log"))?;
        let child = Command::new(program)
            .args(["--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warn", "-c"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("envoy")?;
        let envoy = Self { child, admin: format!("http://127.0.0.1:{}", listeners.admin) };
        let (http, deadline) = (Http::new(), Instant::now() + TIMEOUT);
        while !http.get(&format!("{}/ready", envoy.admin)).await.is_ok_and(|answer| answer.status.is_success()) {
            ensure!(Instant::now() < deadline, "{}", std::fs::read_to_string(folder.join("envoy.log"))?);
            sleep(Duration::from_millis(50)).await;
        }
        Ok(envoy)
    }

    /// The value of a statistic.
    pub(crate) async fn statistic(&self, name: &str) -> Result<u64> {
        let answer = Http::new().get(&format!("{}/stats?format=json&filter=^{name}$", self.admin)).await?;
        answer.body["stats"][0]["value"].as_u64().with_context(|| format!("Envoy counts no {name}"))
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The configuration for processes by the names that it has for them: `user`, `user-v2`, ….
pub(crate) fn render(chart: &Chart, listeners: &Listeners, hosts: &BTreeMap<String, Vec<Ports>>) -> Result<Value> {
    let mut config: Value = serde_norway::from_str(TEMPLATE)?;
    chart.apply(&mut config)?;
    config["admin"]["address"]["socket_address"]["port_value"] = listeners.admin.into();
    let resources = &mut config["static_resources"];
    for listener in resources["listeners"].as_array_mut().context("listeners")? {
        let address = &mut listener["address"]["socket_address"];
        let port = u16::try_from(address["port_value"].as_u64().context("a port")?)?;
        *address = json!({"address": "127.0.0.1", "port_value": listeners.ports[&port]});
    }
    for cluster in resources["clusters"].as_array_mut().context("clusters")? {
        if cluster["load_assignment"].is_object() {
            place(cluster, hosts)?;
        }
    }
    Ok(config)
}

/// Puts the processes into a cluster.
fn place(cluster: &mut Value, hosts: &BTreeMap<String, Vec<Ports>>) -> Result<()> {
    let endpoints = cluster.pointer_mut("/load_assignment/endpoints/0/lb_endpoints").context("endpoints")?;
    let one = endpoints[0].clone();
    let address = &one["endpoint"]["address"]["socket_address"];
    let (host, port) = (address["address"].as_str().context("a host")?, address["port_value"].as_u64());
    let placed = hosts.get(host).into_iter().flatten().map(|ports| {
        let mut endpoint = one.clone();
        let port = if port == Some(9090) { ports.grpc } else { ports.http };
        endpoint["endpoint"]["address"]["socket_address"] = json!({"address": "127.0.0.1", "port_value": port});
        endpoint["endpoint"]["health_check_config"] = json!({"port_value": ports.admin});
        endpoint
    });
    *endpoints = placed.collect();
    Ok(())
}

/// Where there are several processes, the health that an orchestrator would take from their readiness. Where there is one,
/// only what becomes of requests can tell: outlier detection, as quick as a test can wait.
pub(crate) fn orchestrate(config: &mut Value) -> Result<()> {
    let clusters = config["static_resources"]["clusters"].as_array_mut().context("clusters")?;
    for cluster in clusters.iter_mut().filter(|cluster| cluster["load_assignment"].is_object()) {
        let endpoints = cluster.pointer("/load_assignment/endpoints/0/lb_endpoints").and_then(Value::as_array);
        let several = endpoints.is_some_and(|endpoints| endpoints.len() > 1);
        cluster["outlier_detection"]["interval"] = "1s".into();
        cluster["outlier_detection"]["base_ejection_time"] = "2s".into();
        if !several {
            continue;
        }
        cluster["health_checks"] = json!([{
            "timeout": "1s", "interval": "0.25s", "unhealthy_threshold": 2, "healthy_threshold": 1,
            "no_traffic_interval": "0.25s",
            "http_health_check": {"path": "/healthz/ready"},
        }]);
        // Envoy would gather what it learns of its hosts for a second, which is all the time that they give here.
        cluster["common_lb_config"]["update_merge_window"] = "0s".into();
    }
    Ok(())
}
