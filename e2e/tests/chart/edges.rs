//! Who may reach whom: the policies of both ends agree, and of the network and the mesh.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::render::{SERVICES, manifests, of_kind, switches};

type Edge = (String, String, u64);

fn ports(rule: &Value) -> impl Iterator<Item = u64> + '_ {
    rule["ports"].as_array().unwrap().iter().map(|port| port["port"].as_u64().unwrap())
}

fn app(peer: &Value) -> Option<String> {
    let app = peer["podSelector"]["matchLabels"]["app"].as_str()?;
    SERVICES.contains(&app).then(|| app.to_owned())
}

/// From whom to whom on which port, as the network policies of the callers and of the called say.
fn network(direction: &str, peers: &str) -> BTreeSet<Edge> {
    let mut edges = BTreeSet::new();
    for service in SERVICES {
        let manifests = manifests(service, &[]);
        for policy in of_kind(&manifests, "NetworkPolicy") {
            assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]), "what is not named is denied");
            for rule in policy["spec"][direction].as_array().unwrap() {
                for other in rule[peers].as_array().unwrap().iter().filter_map(app) {
                    let (from, to) = if direction == "egress" { (service, &*other) } else { (&*other, service) };
                    edges.extend(ports(rule).map(|port| (from.to_owned(), to.to_owned(), port)));
                }
            }
        }
    }
    edges
}

fn picture() -> BTreeSet<Edge> {
    let edges = [("user", "order", 8080), ("order", "user", 8080), ("order", "payment", 9090)];
    edges.map(|(from, to, port)| (from.to_owned(), to.to_owned(), port)).into()
}

#[test]
fn both_ends_of_the_network_agree_with_the_picture() {
    if manifests("order", &[]).is_empty() {
        return;
    }
    assert_eq!(network("egress", "to"), picture());
    assert_eq!(network("ingress", "from"), picture());
}

#[test]
fn only_order_may_call_payment_and_nobody_without_a_name_anything_but_health() {
    let mut edges = BTreeSet::new();
    for service in SERVICES {
        for policy in of_kind(&manifests(service, &switches(service)), "AuthorizationPolicy") {
            assert_eq!(policy["spec"]["action"], "ALLOW");
            for rule in policy["spec"]["rules"].as_array().unwrap() {
                let allowed: Vec<u64> = rule["to"][0]["operation"]["ports"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|port| port.as_str().unwrap().parse().unwrap())
                    .collect();
                let Some(from) = rule["from"][0]["source"]["principals"][0].as_str() else {
                    assert_eq!(allowed, [9464], "{service}");
                    continue;
                };
                let account = from.rsplit('/').next().unwrap();
                if from.contains("/ns/shop/") {
                    edges.extend(allowed.iter().map(|port| (account.to_owned(), service.to_owned(), *port)));
                } else {
                    assert_eq!((account, &*allowed), ("istio-ingressgateway", &[8080][..]), "{service}");
                }
            }
        }
        for authentication in of_kind(&manifests(service, &switches(service)), "PeerAuthentication") {
            assert_eq!(authentication["spec"]["mtls"]["mode"], "STRICT");
        }
    }
    assert!(edges.is_empty() && manifests("order", &[]).is_empty() || edges == picture(), "{edges:?}");
}

#[test]
fn the_header_leads_to_version_2_and_its_absence_to_version_1() {
    let with = manifests("order", &switches("order"));
    let without = manifests("order", &["istio.enabled=true"]);
    for (manifests, canary) in [(with, true), (without, false)] {
        for route in of_kind(&manifests, "VirtualService") {
            let routes = route["spec"]["http"].as_array().unwrap();
            assert_eq!(routes.len(), 1 + usize::from(canary), "no route to a version that is not there");
            if canary {
                assert_eq!(routes[0]["match"], json!([{"headers": {"x-canary": {"exact": "true"}}}]));
                assert_eq!(routes[0]["route"][0]["destination"]["subset"], "v2");
            }
            let last = routes.last().unwrap();
            assert_eq!((&last["match"], &last["route"][0]["destination"]["subset"]), (&Value::Null, &json!("v1")));
        }
        for rule in of_kind(&manifests, "DestinationRule") {
            let policy = &rule["spec"]["trafficPolicy"];
            assert_eq!(policy["connectionPool"]["tcp"], json!({"maxConnections": 100}));
            let http = json!({"http1MaxPendingRequests": 50, "http2MaxRequests": 100});
            assert_eq!(policy["connectionPool"]["http"], http);
            let outlier = json!({"consecutive5xxErrors": 5, "interval": "30s", "baseEjectionTime": "30s"});
            assert_eq!(policy["outlierDetection"], outlier);
        }
    }
}
