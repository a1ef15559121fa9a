//! How the proxies are configured: versions by header and weight, limits, whom they know.

use serde_json::{Value, json};

use crate::render::{ALL, SERVICES, manifests, named, of_kind, some_of_kind, yaml};

const MESH: &str = "istio.enabled=true,istio.host=shop.example.org";
const CANARY: &str = "canary.enabled=true,canary.tag=0.2.0";

fn routes(manifests: &[Value], name: &str) -> Vec<Value> {
    named(manifests, "VirtualService", name)["spec"]["http"].as_array().unwrap().clone()
}

/// The subsets of a route with their weights.
fn subsets(route: &Value) -> Value {
    let each = route["route"].as_array().unwrap().iter();
    each.map(|to| json!([to["destination"]["subset"], to["weight"]])).collect()
}

#[test]
fn the_header_leads_to_version_2_and_its_absence_to_version_1() {
    for service in SERVICES {
        for canary in [true, false] {
            let manifests = manifests(service, if canary { &[MESH, CANARY] } else { &[MESH] });
            if manifests.is_empty() {
                return;
            }
            let routes = routes(&manifests, service);
            // Those of endless responses are the same, for their paths, and come first.
            let (streams, others): (Vec<_>, Vec<_>) = routes.iter().partition(|route| route["timeout"] == "0s");
            let header = json!({"x-canary": {"exact": "true"}});
            let paths = ["/v1/orders/stream", "/graphql/stream"].map(|path| json!({"exact": path}));
            let marked = json!(paths.clone().map(|path| json!({"uri": path, "headers": header})));
            let of_streams = (marked, json!(paths.map(|path| json!({"uri": path}))));
            assert_eq!(streams.is_empty(), service != "order");
            assert!(
                streams.iter().zip(&routes).all(|(stream, route)| *stream == route),
                "the first that matches counts"
            );
            let sets = [(others, (json!([{"headers": header}]), Value::Null)), (streams, of_streams)];
            for (routes, (marked, unmarked)) in sets.into_iter().filter(|(routes, _)| !routes.is_empty()) {
                assert_eq!(routes.len(), 1 + usize::from(canary), "no route to a version that is not there");
                if canary {
                    assert_eq!((&routes[0]["match"], subsets(routes[0])), (&marked, json!([["v2", null]])));
                }
                let last = routes.last().unwrap();
                assert_eq!((&last["match"], subsets(last)), (&unmarked, json!([["v1", null]])));
            }
        }
    }
}

#[test]
fn a_rule_keeps_the_limits_of_the_design() {
    for rule in some_of_kind(&manifests("order", &[MESH]), "DestinationRule") {
        let policy = &rule["spec"]["trafficPolicy"];
        assert_eq!(policy["connectionPool"]["tcp"], json!({"maxConnections": 100, "connectTimeout": "1s"}));
        let http = json!({"http1MaxPendingRequests": 50, "http2MaxRequests": 100});
        assert_eq!(policy["connectionPool"]["http"], http);
        let outlier = json!({"consecutive5xxErrors": 5, "interval": "30s", "baseEjectionTime": "30s",
            "maxEjectionPercent": 100, "minHealthPercent": 1});
        assert_eq!(policy["outlierDetection"], outlier);
        let version = |name: &str| json!({"name": name, "labels": {"version": name}});
        assert_eq!(rule["spec"]["subsets"], json!([version("v1"), version("v2")]));
    }
}

#[test]
fn a_weight_sends_as_much_of_the_rest_to_version_2() {
    for (weight, expected) in
        [(0, json!([["v1", null]])), (5, json!([["v1", 95], ["v2", 5]])), (100, json!([["v1", 0], ["v2", 100]]))]
    {
        let manifests = manifests("order", &[MESH, CANARY, &format!("canary.weight={weight}")]);
        if manifests.is_empty() {
            return;
        }
        for name in ["order", "order-public"] {
            assert_eq!(subsets(routes(&manifests, name).last().unwrap()), expected, "{name}");
        }
    }
    let without = manifests("order", &[MESH, "canary.weight=5"]);
    assert_eq!(subsets(&routes(&without, "order")[0]), json!([["v1", null]]), "there is no version 2");
}

/// From outside, the header counts only beside the key; and the key goes no further.
#[test]
fn nobody_gets_to_version_2_by_accident() {
    let removed = |route: &Value| route["headers"]["request"]["remove"].clone();
    let gateway = &yaml("deploy/gateway/routes.yaml")["headers"];
    let never = gateway["removed"].as_array().unwrap();
    let all = json!([&never[..], &[gateway["canary"].clone()]].concat());
    for service in SERVICES {
        for set in [&[MESH, CANARY][..], &ALL[..]] {
            let manifests = manifests(service, set);
            if manifests.is_empty() {
                return;
            }
            let key = set.len() > 2;
            for route in routes(&manifests, &format!("{service}-public")) {
                let name = route["name"].as_str().unwrap();
                let each = route["match"].as_array().unwrap().iter();
                let keyed = each.filter(|one| one["headers"]["x-canary-key"]["exact"].is_string()).count();
                if name.ends_with("stable") {
                    assert_eq!((keyed, &removed(&route)), (0, &all), "{service} {name}");
                } else {
                    assert!(key, "{service} {name}: there is no key");
                    assert_eq!(keyed, route["match"].as_array().unwrap().len(), "{service} {name}");
                    assert_eq!(removed(&route), json!(never), "{service} {name}");
                }
            }
        }
        let values = yaml(&format!("helm/values/{service}.yaml"));
        assert!(values["istio"]["canaryKey"].is_null(), "a key in a file of git is no key");
    }
}

/// Each destination is a Service's port, and each version that is named has pods.
#[test]
fn a_route_leads_to_what_is_there() {
    for (service, set) in SERVICES.into_iter().flat_map(|service| [(service, &[MESH][..]), (service, &ALL[..])]) {
        let manifests = manifests(service, set);
        for route in
            some_of_kind(&manifests, "VirtualService").iter().flat_map(|one| one["spec"]["http"].as_array().unwrap())
        {
            for to in route["route"].as_array().unwrap().iter().map(|one| &one["destination"]) {
                let target = named(&manifests, "Service", to["host"].as_str().unwrap());
                let ports = target["spec"]["ports"].as_array().unwrap();
                let number = &to["port"]["number"];
                assert!(number.is_null() || ports.iter().any(|port| port["port"] == *number), "{service}: {to}");
                let pods = of_kind(&manifests, "Deployment");
                let mut versions = pods.iter().map(|one| &one["spec"]["template"]["metadata"]["labels"]["version"]);
                assert!(versions.any(|version| *version == to["subset"]), "{service}: {to}");
            }
        }
    }
}

#[test]
fn a_proxy_waits_longer_than_its_service_and_repeats_what_reached_nobody() {
    let retries = json!({"attempts": 2, "retryOn": "connect-failure,refused-stream"});

    for (set, expected) in [("", "11s"), ("config.limits.request_timeout=30s", "31s")] {
        let manifests = manifests("order", &[MESH, CANARY, set]);
        for service in some_of_kind(&manifests, "VirtualService") {
            for route in service["spec"]["http"].as_array().unwrap() {
                let endless = route["name"].as_str().is_some_and(|name| name.starts_with("streams"));
                let expected = if endless { "0s" } else { expected };
                assert_eq!((&route["timeout"], &route["retries"]), (&json!(expected), &retries));
            }
        }
    }
}

/// Where the mesh lets nobody out but to whom it knows, whatever the network policy names has to be known.
#[test]
fn a_proxy_knows_whom_its_service_calls() {
    for service in SERVICES {
        let manifests = manifests(service, &ALL);
        if manifests.is_empty() {
            return;
        }
        let hosts = named(&manifests, "Sidecar", service)["spec"]["egress"][0]["hosts"].clone();
        let hosts: Vec<_> = hosts.as_array().unwrap().iter().map(|host| host.as_str().unwrap().to_owned()).collect();
        let network = &yaml(&format!("helm/values/{service}.yaml"))["network"];
        let name = |to: &Value| to["app"].as_str().or(to["host"].as_str()).unwrap().to_owned();
        for to in ["calls", "egress"].into_iter().flat_map(|list| network[list].as_array().unwrap()) {
            let suffix = format!("/{}.shop.svc.cluster.local", name(to));
            assert!(hosts.iter().any(|host| host.ends_with(&suffix)), "{service}: {to}");
        }
        assert!(hosts.contains(&"./nats.example.org".to_owned()), "{service}: what is outside");
        let entry = &named(&manifests, "ServiceEntry", &format!("{service}-nats-example-org"))["spec"];
        assert_eq!((&entry["hosts"][0], &entry["ports"][0]["number"]), (&json!("nats.example.org"), &json!(4222)));
    }
}

#[test]
fn a_proxy_is_there_before_its_service_and_after_it() {
    for service in SERVICES {
        for deployment in some_of_kind(&manifests(service, &ALL), "Deployment") {
            let template = &deployment["spec"]["template"];
            assert_eq!(template["metadata"]["labels"]["sidecar.istio.io/inject"], "true");
            let config = template["metadata"]["annotations"]["proxy.istio.io/config"].as_str().unwrap();
            let config: Value = serde_json::from_str(config).unwrap();
            let whole = template["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
            assert_eq!(config["holdApplicationUntilProxyStarts"], true);
            assert_eq!(config["terminationDrainDuration"], format!("{}s", whole - 5));
        }
    }
}

#[test]
fn the_policy_of_the_namespace_allows_nothing_and_proves_everybody() {
    let istio = |file: &str| std::fs::read_to_string(crate::render::root().join("istio").join(file)).unwrap();
    let access = crate::render::documents(&istio("access.yaml"));
    assert_eq!(of_kind(&access, "PeerAuthentication")[0]["spec"], json!({"mtls": {"mode": "STRICT"}}));
    assert_eq!(of_kind(&access, "AuthorizationPolicy")[0]["spec"], json!({}));
    let gateway = yaml("istio/gateway.yaml");
    let servers = gateway["spec"]["servers"].as_array().unwrap();
    assert!(!servers.is_empty());
    for server in servers {
        let tls = &server["tls"];
        assert!(tls["httpsRedirect"] == true || tls["credentialName"].is_string(), "nothing in clear text");
    }
    let selector = &gateway["spec"]["selector"];
    assert_eq!(*selector, yaml("helm/trireme/values.yaml")["istio"]["gateway"]["labels"], "the same gateway");
}
