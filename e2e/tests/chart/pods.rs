//! What runs is not root, can write nowhere, holds no token of the cluster, and is asked for its health where it answers.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::TcpStream,
};

use e2e::Cluster;
use serde_json::{Value, json};

use crate::render::{all, manifests, of_kind, pods};

#[test]
fn no_pod_may_more_than_it_needs() {
    for (service, manifests) in all() {
        for (name, pod) in pods(&manifests) {
            let (name, security) = (format!("{service}: {name}"), &pod["securityContext"]);
            assert_eq!((&security["runAsNonRoot"], &security["runAsUser"]), (&json!(true), &json!(65532)), "{name}");
            assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault", "{name}");
            assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
            assert_eq!(pod["enableServiceLinks"], false, "{name}");
            for host in ["hostNetwork", "hostPID", "hostIPC"] {
                assert!(pod[host].is_null(), "{name}");
            }
            for container in pod["containers"].as_array().unwrap() {
                let security = &container["securityContext"];
                assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
                assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
                assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}), "{name}");
                assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
                assert!(container["resources"]["requests"]["cpu"].is_string(), "{name}");
                assert!(!container["image"].as_str().unwrap().ends_with(":latest"), "{name}");
            }
        }
    }
}

#[test]
fn no_secret_is_in_a_manifest() {
    for (service, manifests) in all() {
        assert_eq!(of_kind(&manifests, "Secret").len(), 0, "{service}");
        for config in of_kind(&manifests, "ConfigMap") {
            let data = config["data"].as_object().unwrap();
            assert!(!data.contains_key("TRIREME_DATABASE__URL"), "{service}");
            assert!(data.values().all(|value| !value.as_str().unwrap().contains('@')), "{service}");
        }
    }
}

#[test]
fn a_pod_outlives_its_drain() {
    for (service, manifests) in all() {
        let config = of_kind(&manifests, "ConfigMap")[0];
        let deadline = config["data"]["TRIREME_SHUTDOWN__DEADLINE"].as_str().unwrap();
        let deadline: u64 = deadline.trim_end_matches('s').parse().unwrap();
        for deployment in of_kind(&manifests, "Deployment") {
            let pod = &deployment["spec"]["template"]["spec"];
            let sleep = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
            assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > sleep + deadline, "{service}");
        }
    }
}

/// Asks as the kubelet does.
fn status(base: &str, path: &str) -> String {
    let mut connection = TcpStream::connect(base.trim_start_matches("http://")).unwrap();
    write!(connection, "GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

/// The paths and ports of the probes, asked of the running binaries.
#[test]
fn probes_ask_what_the_binaries_answer() {
    if manifests("order", &[]).is_empty() {
        return;
    }
    let cluster = Cluster::start().unwrap();
    for (service, manifests) in all() {
        for deployment in of_kind(&manifests, "Deployment") {
            let container = &deployment["spec"]["template"]["spec"]["containers"][0];
            let ports = container["ports"].as_array().unwrap();
            let number =
                |name: &Value| ports.iter().find(|port| port["name"] == *name).unwrap()["containerPort"].clone();
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                let get = &container[probe]["httpGet"];
                assert_eq!(number(&get["port"]), 9464, "{service}: the admin port by default");
                let admin = cluster.process(service).unwrap().admin;
                assert_eq!(status(&admin, get["path"].as_str().unwrap()), "200", "{service}: {probe}");
            }
        }
    }
}

#[test]
fn a_canary_is_a_deployment_of_its_own_behind_the_same_name() {
    let manifests = manifests("order", &["canary.enabled=true,canary.tag=0.2.0"]);
    let deployments = of_kind(&manifests, "Deployment");
    let told: BTreeSet<_> = deployments
        .iter()
        .map(|deployment| {
            let template = &deployment["spec"]["template"];
            assert_eq!(
                deployment["spec"]["selector"]["matchLabels"]["version"],
                template["metadata"]["labels"]["version"]
            );
            assert_eq!(template["metadata"]["labels"]["app.kubernetes.io/component"], "server");
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&template["metadata"]["labels"]["version"]), text(&template["spec"]["containers"][0]["image"]))
        })
        .collect();
    if manifests.is_empty() {
        return;
    }
    let image = |tag| format!("ghcr.io/trireme/order:{tag}");
    assert_eq!(told, [("v1".to_owned(), image("0.1.0")), ("v2".to_owned(), image("0.2.0"))].into());
    for service in of_kind(&manifests, "Service") {
        let serving = json!({"app": "order", "app.kubernetes.io/component": "server"});
        assert_eq!(service["spec"]["selector"], serving, "of both versions");
    }
}
