//! The custom metric by which a service is scaled: what its binary exports, made a rate by the adapter's rule.

use std::{collections::BTreeMap, fs};

use e2e::Cluster;
use serde_json::Value;

use crate::{
    pods::ask,
    render::{SERVICES, documents, manifests, named, root},
};

/// The rules in helm/README.md: the metric's name, and the series that it is made of.
fn rules() -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("helm/README.md")).unwrap();
    let blocks = text.split("```").filter_map(|block| block.strip_prefix("yaml\n"));
    let rules = blocks.flat_map(documents).find_map(|block| block["rules"]["custom"].as_array().cloned());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rule = |rule: &Value| {
        let series = text(&rule["seriesQuery"]);
        (text(&rule["name"]["as"]), series.split('{').next().unwrap().to_owned())
    };
    rules.unwrap().iter().map(rule).collect()
}

#[test]
fn a_service_is_scaled_by_what_its_binary_exports() {
    if manifests("order", &[]).is_empty() {
        return;
    }
    let rules = rules();
    let cluster = Cluster::start().unwrap();
    // Calls each of them once, payment over gRPC.
    cluster.tool(&["verify"]).unwrap();
    for service in SERVICES {
        let manifests = manifests(service, &["autoscaling.callsPerSecond=200"]);
        let scaler = &named(&manifests, "HorizontalPodAutoscaler", service)["spec"];
        let metrics = scaler["metrics"].as_array().unwrap();
        let pods = metrics.iter().find(|metric| metric["type"] == "Pods").unwrap();
        let series = &rules[pods["pods"]["metric"]["name"].as_str().unwrap()];
        let exported = ask(&cluster.process(service).unwrap().admin, "/metrics");
        assert!(exported.contains(&format!("\n{series}{{")), "{service} exports no {series}:\n{exported}");
        let cpu = &metrics[0]["containerResource"];
        let pod = &named(&manifests, "Deployment", service)["spec"]["template"]["spec"];
        assert_eq!(cpu["container"], pod["containers"][0]["name"], "of the service alone");
    }
}
