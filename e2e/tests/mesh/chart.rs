//! What the chart tells Istio, as Istio tells Envoy: limits, outlier detection, retries, timeouts.
//!
//! After Istio's `pilot/pkg/networking/core`: `cluster_traffic_policy.go` and `route/retry`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize as _;
use serde_json::{Map, Value, json};
use testkit::servers;
use trireme::Service;

use crate::envoy::TEMPLATE;

/// Of Istio, where an object is silent.
const UNLIMITED: u32 = u32::MAX;
const HOSTS_TRIED: u32 = 5;

/// The objects of all services.
pub(crate) struct Chart {
    rules: BTreeMap<String, Value>,
    routes: BTreeMap<String, Vec<Value>>,
}

fn helm() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("helm")
}

impl Chart {
    /// Renders it with its mesh and its canary; `None` where helm is not installed.
    pub(crate) fn render() -> Result<Option<Self>> {
        let Some(program) = servers::program("helm") else { return Ok(None) };
        let set = "SERVICE.istio.enabled=true,SERVICE.istio.host=shop.example.org,\
            SERVICE.canary.enabled=true,SERVICE.canary.tag=0.2.0";
        let set = Service::ALL.map(|service| set.replace("SERVICE", service.name())).join(",");
        let output =
            Command::new(program).args(["template", "shop", "shop", "--set", &set]).current_dir(helm()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (mut rules, mut routes) = (BTreeMap::new(), BTreeMap::new());
        for document in serde_norway::Deserializer::from_slice(&output.stdout) {
            let object = Value::deserialize(document)?;
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            match object["kind"].as_str() {
                Some("DestinationRule") => drop(rules.insert(name, object["spec"]["trafficPolicy"].clone())),
                Some("VirtualService") => {
                    routes.insert(name, object["spec"]["http"].as_array().context("routes")?.clone());
                }
                _ => {}
            }
        }
        Ok(Some(Self { rules, routes }))
    }

    /// Makes what Envoy does what the objects say.
    pub(crate) fn apply(&self, config: &mut Value) -> Result<()> {
        let resources = &mut config["static_resources"];
        for cluster in resources["clusters"].as_array_mut().context("clusters")? {
            if cluster["load_assignment"].is_object() {
                let (service, _) = target(&cluster["name"])?;
                let policy = self.rules.get(&service).with_context(|| format!("no DestinationRule {service}"))?;
                limit(cluster.as_object_mut().context("a cluster")?, policy)?;
            }
        }
        for listener in resources["listeners"].as_array_mut().context("listeners")? {
            let public = listener["name"] == "public";
            let host = "/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0";
            let host = listener.pointer_mut(host).context("a virtual host")?;
            let mut retries: Option<&Value> = None;
            for route in host["routes"].as_array_mut().context("routes")? {
                let (service, canary) = target(&route["route"]["cluster"])?;
                let object = if public { format!("{service}-public") } else { service };
                // From outside the canary needs a key, which this Envoy leaves to the gateway.
                let track = if canary && !public { "canary" } else { "stable" };
                let routes = self.routes.get(&object).with_context(|| format!("no VirtualService {object}"))?;
                let path = route["match"]["path"].as_str();
                let endless = path.is_some_and(|path| path.ends_with("/stream"));
                let named = |route: &&Value| {
                    let name = route["name"].as_str().unwrap_or_default();
                    name.ends_with(track) && name.starts_with("streams") == endless
                };
                let ours = routes.iter().find(named).with_context(|| format!("no route {track} of {object}"))?;
                route["route"]["timeout"] = ours["timeout"].clone();
                let before = retries.replace(&ours["retries"]);
                ensure!(before.is_none_or(|before| *before == ours["retries"]), "{object} repeats other things");
            }
            repeat(&mut host["retry_policy"], retries.context("no route")?);
        }
        Ok(())
    }
}

/// Which service a cluster is of, and whether it is for the canary.
fn target(cluster: &Value) -> Result<(String, bool)> {
    let name = cluster.as_str().context("a cluster")?;
    let (service, rest) = name.split_once('-').with_context(|| format!("whose is {name}"))?;
    Ok((service.to_owned(), rest.ends_with("canary")))
}

/// A traffic policy on a cluster.
fn limit(cluster: &mut Map<String, Value>, policy: &Value) -> Result<()> {
    let (pool, outliers) = (&policy["connectionPool"], &policy["outlierDetection"]);
    let or = |value: &Value, default: Value| if value.is_null() { default } else { value.clone() };
    let thresholds = json!({
        "max_connections": or(&pool["tcp"]["maxConnections"], UNLIMITED.into()),
        "max_pending_requests": or(&pool["http"]["http1MaxPendingRequests"], UNLIMITED.into()),
        "max_requests": or(&pool["http"]["http2MaxRequests"], UNLIMITED.into()),
        "max_retries": or(&pool["http"]["maxRetries"], UNLIMITED.into()),
    });
    let mut detection = json!({"enforcing_success_rate": 0});
    for (ours, envoys) in [
        ("consecutive5xxErrors", "consecutive_5xx"),
        ("interval", "interval"),
        ("baseEjectionTime", "base_ejection_time"),
        ("maxEjectionPercent", "max_ejection_percent"),
    ] {
        if !outliers[ours].is_null() {
            detection[envoys] = outliers[ours].clone();
        }
    }
    detection["enforcing_consecutive_5xx"] = if outliers["consecutive5xxErrors"] == 0 { 0 } else { 100 }.into();
    let simple = policy["loadBalancer"]["simple"].as_str().context("a load balancer")?;
    cluster.insert("connect_timeout".into(), or(&pool["tcp"]["connectTimeout"], "10s".into()));
    cluster.insert("circuit_breakers".into(), json!({"thresholds": [thresholds]}));
    cluster.insert("outlier_detection".into(), detection);
    let panic = json!({"healthy_panic_threshold": {"value": or(&outliers["minHealthPercent"], 0.into())}});
    cluster.insert("common_lb_config".into(), panic);
    cluster.insert("lb_policy".into(), simple.into());
    Ok(())
}

/// The retries of a host's routes; the way from version 2 to version 1 is that of this Envoy's own clusters.
fn repeat(policy: &mut Value, retries: &Value) {
    let other = "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate";
    policy["retry_on"] = retries["retryOn"].clone();
    policy["num_retries"] = retries["attempts"].clone();
    policy["retry_host_predicate"] =
        json!([{"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {"@type": other}}]);
    policy["host_selection_retry_max_attempts"] = HOSTS_TRIED.into();
}

/// Compose has its Envoy written down: it is the same.
#[test]
fn the_envoy_of_compose_does_what_the_chart_ships() -> Result<()> {
    let Some(chart) = Chart::render()? else { return Ok(()) };
    let ours: Value = serde_norway::from_str(TEMPLATE)?;
    let mut shipped = ours.clone();
    chart.apply(&mut shipped)?;
    for kind in ["clusters", "listeners"] {
        let of = |config: &Value| config["static_resources"][kind].as_array().cloned().context(kind);
        for (ours, shipped) in of(&ours)?.iter().zip(of(&shipped)?) {
            assert_eq!(*ours, shipped, "deploy/envoy/envoy.yaml (left) and the chart (right)");
        }
    }
    Ok(())
}
