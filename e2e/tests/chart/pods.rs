//! What runs is not root, can write nowhere, holds no token of the cluster, and is asked for its health where it answers.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
};

use e2e::{Cluster, binary};
use serde_json::{Value, json};

use crate::render::{SERVICES, all, every, manifests, named, of_kind, pods, some_of_kind};

#[test]
fn no_pod_may_more_than_it_needs() {
    for (service, manifests) in every() {
        let pods = pods(&manifests);
        assert!(manifests.is_empty() || !pods.is_empty(), "{service}");
        for (name, pod) in pods {
            let pod = &pod["spec"];
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
        for config in some_of_kind(&manifests, "ConfigMap") {
            let data = config["data"].as_object().unwrap();
            assert!(!data.contains_key("TRIREME_DATABASE__URL"), "{service}");
            assert!(data.values().all(|value| !value.as_str().unwrap().contains('@')), "{service}");
        }
    }
}

#[test]
fn a_pod_outlives_its_drain() {
    for (service, manifests) in all() {
        // Nothing is rendered where helm is not installed.
        if manifests.is_empty() {
            continue;
        }
        let config = of_kind(&manifests, "ConfigMap")[0];
        let deadline = config["data"]["TRIREME_SHUTDOWN__DEADLINE"].as_str().unwrap();
        let deadline: u64 = deadline.trim_end_matches('s').parse().unwrap();
        for deployment in some_of_kind(&manifests, "Deployment") {
            let pod = &deployment["spec"]["template"]["spec"];
            let sleep = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
            assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > sleep + deadline, "{service}");
        }
    }
}

/// Asks as the kubelet does.
pub(crate) fn ask(base: &str, path: &str) -> String {
    let mut connection = TcpStream::connect(base.trim_start_matches("http://")).unwrap();
    write!(connection, "GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

/// The paths and ports of the probes, asked of the running binaries.
#[test]
fn probes_ask_what_the_binaries_answer() {
    if manifests("order", &[]).is_empty() {
        return;
    }
    let cluster = Cluster::start().unwrap();
    for (service, manifests) in all() {
        for deployment in some_of_kind(&manifests, "Deployment") {
            let container = &deployment["spec"]["template"]["spec"]["containers"][0];
            let ports = container["ports"].as_array().unwrap();
            let number =
                |name: &Value| ports.iter().find(|port| port["name"] == *name).unwrap()["containerPort"].clone();
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                let get = &container[probe]["httpGet"];
                assert_eq!(number(&get["port"]), 9464, "{service}: the admin port by default");
                let admin = cluster.process(service).unwrap().admin;
                let answer = ask(&admin, get["path"].as_str().unwrap());
                assert!(answer.starts_with("HTTP/1.1 200 "), "{service}: {probe}: {answer}");
            }
        }
    }
}

/// What `helm test` runs in each service's pod, run here: it succeeds beside the service and fails without.
#[test]
fn the_test_of_a_release_asks_the_service_that_runs() {
    if manifests("order", &[]).is_empty() {
        return;
    }
    let cluster = Cluster::start().unwrap();
    let mut secret = tempfile::NamedTempFile::new().unwrap();
    secret.write_all(b"0123456789abcdef0123456789abcdef0123456789abcdef").unwrap();
    for service in SERVICES {
        let manifests = manifests(service, &[]);
        let pod = &named(&manifests, "Pod", &format!("{service}-test"))["spec"];
        let container = &pod["containers"][0];
        let variables = container["env"].as_array().unwrap();
        let host = variables.iter().find(|one| one["name"] == "TRIREME_ADMIN__HOST").unwrap();
        let asked = named(&manifests, "Service", host["value"].as_str().unwrap());
        assert_eq!(asked["spec"]["ports"][0]["port"], 9464, "{service}: the admin port by default");
        let admin = cluster.process(service).unwrap().admin;
        let (_, port) = admin.rsplit_once(':').unwrap();
        let free = testkit::free_port().to_string();
        for (port, succeeds) in [(port, true), (&*free, false)] {
            let mut command = Command::new(binary(service).unwrap());
            for argument in container["args"].as_array().unwrap() {
                command.arg(argument.as_str().unwrap());
            }
            for file in variables.iter().filter(|one| one["name"].as_str().unwrap().ends_with("_FILE")) {
                command.env(file["name"].as_str().unwrap(), secret.path());
            }
            command.env("TRIREME_ADMIN__HOST", "127.0.0.1").env("TRIREME_ADMIN__PORT", port);
            let output = command.output().unwrap();
            assert_eq!(output.status.success(), succeeds, "{service}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn a_budget_counts_the_pods_of_both_versions() {
    for (service, manifests) in all() {
        for budget in some_of_kind(&manifests, "PodDisruptionBudget") {
            let labels = &budget["spec"]["selector"]["matchLabels"];
            assert_eq!(*labels, json!({"app": service, "app.kubernetes.io/component": "server"}));
        }
    }
}

#[test]
fn a_canary_is_a_deployment_of_its_own_behind_the_same_name() {
    let manifests = manifests("order", &["canary.enabled=true,canary.tag=0.2.0"]);
    let deployments = of_kind(&manifests, "Deployment");
    let images: BTreeSet<_> = deployments
        .iter()
        .map(|deployment| {
            let template = &deployment["spec"]["template"];
            assert_eq!(
                deployment["spec"]["selector"]["matchLabels"]["version"],
                template["metadata"]["labels"]["version"]
            );
            assert_eq!(template["metadata"]["labels"]["app.kubernetes.io/component"], "server");
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let container = &template["spec"]["containers"][0];
            let takes_marked =
                container["env"].as_array().unwrap().iter().any(|one| one["name"] == "TRIREME_BUS__CANARY");
            let version = &template["metadata"]["labels"]["version"];
            assert_eq!(takes_marked, version == "v2", "behind the broker, too");
            let spread = template["spec"]["topologySpreadConstraints"].as_array().unwrap();
            assert!(!spread.is_empty());
            assert!(spread.iter().all(|one| one["labelSelector"]["matchLabels"]["version"] == *version));
            (text(&template["metadata"]["labels"]["version"]), text(&container["image"]))
        })
        .collect();
    if manifests.is_empty() {
        return;
    }
    let image = |tag| format!("ghcr.io/trireme/order:{tag}");
    assert_eq!(images, [("v1".to_owned(), image("0.1.0")), ("v2".to_owned(), image("0.2.0"))].into());
}

/// What cannot see the header must not balance a service's whole load over a version on trial.
#[test]
fn without_a_mesh_the_service_leads_to_version_1_alone() {
    for (mesh, version) in [("istio.enabled=true", Value::Null), ("istio.enabled=false", json!("v1"))] {
        let manifests = manifests("order", &["canary.enabled=true,canary.tag=0.2.0", mesh]);
        if manifests.is_empty() {
            return;
        }
        let selector = |name| named(&manifests, "Service", name)["spec"]["selector"].clone();
        assert_eq!(selector("order")["version"], version, "{mesh}");
        assert_eq!(selector("order")["app.kubernetes.io/component"], "server");
        let serving = json!({"app": "order", "app.kubernetes.io/component": "server"});
        assert_eq!(selector("order-admin"), serving, "metrics are of both versions");
    }
}

/// What a finished canary left in the values, and version 1's digest, name neither the migration nor version 2.
#[test]
fn an_image_is_what_its_own_values_name() {
    let digest = format!("image.digest=sha256:{}", "a".repeat(64));
    for (set, migrates) in [
        ("image.tag=0.3.0,canary.tag=0.2.0".to_owned(), "order:0.3.0"),
        (format!("{digest},canary.enabled=true,canary.tag=0.2.0"), "order:0.2.0"),
    ] {
        let manifests = manifests("order", &[&set]);
        if manifests.is_empty() {
            return;
        }
        let job = named(&manifests, "Job", "order-migration");
        let image = job["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap();
        assert!(image.ends_with(migrates), "{set}: {image}");
    }
}
