//! What watches the shop in a cluster is what watches it elsewhere.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};

use crate::render::{SERVICES, WATCHED, documents, manifests, named, of_kind, root, shop};

fn files(folder: &str) -> BTreeMap<String, String> {
    let entries = fs::read_dir(root().join("deploy").join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let stem = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    entries.map(|path| (stem(&path), fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn rules_dashboards_and_the_collector_are_those_of_deploy() {
    let manifests = shop(&["--set", WATCHED]);
    if manifests.is_empty() {
        return;
    }
    let rules = files("prometheus/rules");
    assert_eq!(of_kind(&manifests, "PrometheusRule").len(), rules.len());
    for (name, text) in rules {
        let rule = named(&manifests, "PrometheusRule", &format!("trireme-{name}"));
        assert_eq!(rule["spec"], documents(&text)[0], "{name}");
    }
    for (name, text) in files("grafana/dashboards") {
        let map = named(&manifests, "ConfigMap", &format!("trireme-dashboard-{name}"));
        let shipped = map["data"][format!("{name}.json")].as_str().unwrap();
        let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(parsed(shipped), parsed(&text), "{name}");
    }
    let config = named(&manifests, "ConfigMap", "otel-collector")["data"]["config.yaml"].as_str().unwrap();
    let own = fs::read_to_string(root().join("deploy/otel-collector/config.yaml")).unwrap();
    assert_eq!(config.trim_end(), own.trim_end());
}

/// Rules select by `job`, which is the service's name everywhere.
#[test]
fn a_job_is_a_service() {
    for service in SERVICES {
        let manifests = manifests(service, &["metrics.serviceMonitor=true"]);
        if manifests.is_empty() {
            return;
        }
        let monitor = &named(&manifests, "ServiceMonitor", service)["spec"];
        let label = monitor["jobLabel"].as_str().unwrap();
        let admin = named(&manifests, "Service", &format!("{service}-admin"));
        assert_eq!(admin["metadata"]["labels"][label], service);
    }
    let manifests = shop(&["--set", WATCHED]);
    if manifests.is_empty() {
        return;
    }
    let monitor = &named(&manifests, "ServiceMonitor", "otel-collector")["spec"];
    let collector = named(&manifests, "Service", "otel-collector");
    assert_eq!(collector["metadata"]["labels"][monitor["jobLabel"].as_str().unwrap()], "otel-collector");
}

/// Its port is where the services send, and its policies let them in and it out.
#[test]
fn the_services_reach_the_collector() {
    let manifests = shop(&["--set", WATCHED]);
    if manifests.is_empty() {
        return;
    }
    let collector = &named(&manifests, "Service", "otel-collector")["spec"];
    assert!(collector["ports"].as_array().unwrap().iter().any(|port| port["port"] == 4317));
    let policy = &named(&manifests, "NetworkPolicy", "otel-collector")["spec"];
    let from: Vec<_> = SERVICES.map(|app| json!({"podSelector": {"matchLabels": {"app": app}}})).into();
    assert_eq!(policy["ingress"][0]["from"], Value::Array(from));
    assert_eq!(policy["egress"][0]["ports"], json!([{"port": 4317}]));
}
