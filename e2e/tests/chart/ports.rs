//! One value decides where a process listens and where everybody looks for it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::render::{ALL, SERVICES, manifests, named, of_kind, some_of_kind};

const MOVED: &str = "config.http.port=8181,config.grpc.port=9191,config.admin.port=9999";

/// The number behind a name or a number, in a pod.
fn number(ports: &BTreeMap<&str, u64>, port: &Value) -> u64 {
    port.as_u64().unwrap_or_else(|| ports[port.as_str().unwrap()])
}

#[test]
fn whatever_leads_to_a_pod_follows_its_ports() {
    for (service, set) in SERVICES.into_iter().flat_map(|service| [(service, ""), (service, MOVED)]) {
        let manifests = manifests(service, &[&ALL[..], &[set]].concat());
        if manifests.is_empty() {
            return;
        }
        let config = &named(&manifests, "ConfigMap", service)["data"];
        let told = |section: &str| config[format!("TRIREME_{section}__PORT")].as_str().unwrap().parse::<u64>().unwrap();
        let told = BTreeMap::from([("http", told("HTTP")), ("grpc", told("GRPC")), ("http-admin", told("ADMIN"))]);
        assert_eq!(told["http"], if set.is_empty() { 8080 } else { 8181 }, "{service}");
        for deployment in some_of_kind(&manifests, "Deployment") {
            let container = &deployment["spec"]["template"]["spec"]["containers"][0];
            let ports = container["ports"].as_array().unwrap().iter();
            let ports = ports.map(|port| (port["name"].as_str().unwrap(), port["containerPort"].as_u64().unwrap()));
            assert_eq!(ports.collect::<BTreeMap<_, _>>(), told, "{service} {set}");
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                assert_eq!(number(&told, &container[probe]["httpGet"]["port"]), told["http-admin"], "{service} {set}");
            }
        }
        let ports = of_kind(&manifests, "Service").into_iter().flat_map(|one| one["spec"]["ports"].as_array().unwrap());
        for port in ports {
            let name = port["name"].as_str().unwrap();
            assert_eq!(number(&told, &port["targetPort"]), told[name], "{service} {set}: {port}");
            // Callers go on calling http://order:8080.
            let own = BTreeMap::from([("http", 8080), ("grpc", 9090), ("http-admin", 9464)])[name];
            assert_eq!(port["port"], own, "{service} {set}");
        }
        policies(service, &manifests, &told);
    }
}

/// What lets calls in names no port that nobody listens on.
fn policies(service: &str, manifests: &[Value], told: &BTreeMap<&str, u64>) {
    let known = |port: u64| told.values().any(|one| *one == port);
    let ingress = &named(manifests, "NetworkPolicy", service)["spec"]["ingress"];
    for port in ingress.as_array().unwrap().iter().flat_map(|rule| rule["ports"].as_array().unwrap()) {
        assert!(known(number(told, &port["port"])), "{service}: {port}");
    }
    for rule in named(manifests, "AuthorizationPolicy", service)["spec"]["rules"].as_array().unwrap() {
        for port in rule["to"][0]["operation"]["ports"].as_array().unwrap() {
            assert!(known(port.as_str().unwrap().parse().unwrap()), "{service}: {port}");
        }
    }
    let levels = &named(manifests, "PeerAuthentication", service)["spec"]["portLevelMtls"];
    assert_eq!(*levels, json!({told["http-admin"].to_string(): {"mode": "PERMISSIVE"}}), "{service}");
}

/// A caller's own values do not say where the called listens: its policy names the port.
#[test]
fn whom_a_service_calls_may_have_moved() {
    for service in SERVICES {
        let manifests = manifests(service, &[]);
        if manifests.is_empty() {
            return;
        }
        let egress = named(&manifests, "NetworkPolicy", service)["spec"]["egress"].as_array().unwrap();
        let to_app = |rule: &&Value| {
            let app = rule["to"][0]["podSelector"]["matchLabels"]["app"].as_str();
            app.is_some_and(|app| SERVICES.contains(&app))
        };
        for rule in egress.iter().filter(to_app) {
            assert!(rule["ports"][0]["port"].is_string(), "{service}: {rule}");
        }
    }
}

/// `helm test` asks the Service, whose port stays.
#[test]
fn the_test_of_a_release_asks_the_services_own_port() {
    for service in SERVICES {
        let manifests = manifests(service, &[MOVED]);
        if manifests.is_empty() {
            return;
        }
        let pod = named(&manifests, "Pod", &format!("{service}-test"));
        let variables = pod["spec"]["containers"][0]["env"].as_array().unwrap();
        let port = variables.iter().find(|one| one["name"] == "TRIREME_ADMIN__PORT").unwrap();
        let asked = named(&manifests, "Service", &format!("{service}-admin"));
        assert_eq!(port["value"], asked["spec"]["ports"][0]["port"].to_string(), "{service}");
    }
}
