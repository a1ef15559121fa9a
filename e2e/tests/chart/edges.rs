//! Who may reach whom: the policies of both ends agree, and of the network and the mesh.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use e2e::binary;
use serde_json::{Value, json};

use crate::render::{ALL, SERVICES, manifests, named, of_kind, pods, shop, some_of_kind, yaml};

/// From whom to whom, on the port of that name.
type Edge = (String, String, String);

fn ports(rule: &Value) -> impl Iterator<Item = &Value> + '_ {
    rule["ports"].as_array().unwrap().iter().map(|port| &port["port"])
}

/// The names of a pod's ports by their numbers.
fn containers(manifests: &[Value]) -> BTreeMap<String, String> {
    let ports = some_of_kind(manifests, "Deployment")
        .into_iter()
        .flat_map(|deployment| deployment["spec"]["template"]["spec"]["containers"][0]["ports"].as_array().unwrap());
    ports.map(|port| (port["containerPort"].to_string(), port["name"].as_str().unwrap().to_owned())).collect()
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
        for policy in some_of_kind(&manifests, "NetworkPolicy") {
            assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]), "what is not named is denied");
            for rule in policy["spec"][direction].as_array().unwrap() {
                for other in rule[peers].as_array().unwrap().iter().filter_map(app) {
                    let (from, to) = if direction == "egress" { (service, &*other) } else { (&*other, service) };
                    let name = |port: &Value| port.as_str().unwrap().to_owned();
                    edges.extend(ports(rule).map(|port| (from.to_owned(), to.to_owned(), name(port))));
                }
            }
        }
    }
    edges
}

fn picture() -> BTreeSet<Edge> {
    let edges =
        [("user", "order", "http"), ("order", "user", "http"), ("order", "user", "grpc"), ("order", "payment", "grpc")];
    edges.map(|(from, to, port)| (from.to_owned(), to.to_owned(), port.to_owned())).into()
}

#[test]
fn both_ends_of_the_network_agree_with_the_picture() {
    if manifests("order", &[]).is_empty() {
        return;
    }
    let mut edges = picture();
    // `helm test` of each.
    edges.extend(SERVICES.map(|service| (service.to_owned(), service.to_owned(), "http-admin".to_owned())));
    assert_eq!(network("egress", "to"), edges);
    assert_eq!(network("ingress", "from"), edges);
}

#[test]
fn only_order_may_call_payment_and_nobody_without_a_name_anything_but_health() {
    let mut edges = BTreeSet::new();
    for service in SERVICES {
        let manifests = manifests(service, &ALL);
        let names = containers(&manifests);
        for policy in some_of_kind(&manifests, "AuthorizationPolicy") {
            assert_eq!(policy["spec"]["action"], "ALLOW");
            for rule in policy["spec"]["rules"].as_array().unwrap() {
                let to = &rule["to"][0]["operation"];
                let allowed = to["ports"].as_array().unwrap().iter().map(|port| names[port.as_str().unwrap()].clone());
                let Some(from) = rule["from"][0]["source"]["principals"][0].as_str() else {
                    assert_eq!(allowed.collect::<Vec<_>>(), ["http-admin"], "{service}");
                    continue;
                };
                let account = from.rsplit('/').next().unwrap();
                if from.contains("/ns/shop/") {
                    edges.extend(allowed.map(|port| (account.to_owned(), service.to_owned(), port)));
                } else {
                    assert_eq!(account, "istio-ingressgateway", "{service}");
                    assert!(!to["paths"].as_array().unwrap().is_empty(), "{service}: what is public has a name");
                }
            }
        }
        for authentication in some_of_kind(&manifests, "PeerAuthentication") {
            assert_eq!(authentication["spec"]["mtls"]["mode"], "STRICT");
            let excepted = json!({"9464": {"mode": "PERMISSIVE"}});
            assert_eq!(authentication["spec"]["portLevelMtls"], excepted, "metrics and health alone");
        }
    }
    assert!(edges.is_empty() && manifests("order", &[]).is_empty() || edges == picture(), "{edges:?}");
}

/// What leads from outside to a service is what the ingress gateway may ask it for.
#[test]
fn what_is_routed_is_allowed() {
    for service in SERVICES {
        let manifests = manifests(service, &ALL);
        let pattern = |uri: &Value| match uri["prefix"].as_str() {
            Some(prefix) => format!("{prefix}*"),
            None => uri["exact"].as_str().unwrap().to_owned(),
        };
        let routed: BTreeSet<_> = some_of_kind(&manifests, "VirtualService")
            .into_iter()
            .filter(|routes| routes["spec"]["gateways"] == json!(["public"]))
            .flat_map(|routes| routes["spec"]["http"].as_array().unwrap())
            .flat_map(|route| route["match"].as_array().unwrap().iter().map(|one| pattern(&one["uri"])))
            .collect();
        let allowed: BTreeSet<_> = some_of_kind(&manifests, "AuthorizationPolicy")
            .into_iter()
            .flat_map(|policy| policy["spec"]["rules"].as_array().unwrap())
            .flat_map(|rule| rule["to"][0]["operation"]["paths"].as_array().into_iter().flatten())
            .map(|path| path.as_str().unwrap().to_owned())
            .collect();
        assert_eq!(routed, allowed, "{service}");
        assert_eq!(routed.is_empty(), manifests.is_empty(), "{service}");
    }
}

/// What the ingress gateway may ask for is what the other gateways let through.
#[test]
fn the_same_is_public_behind_each_gateway() {
    let gateway = yaml("deploy/gateway/routes.yaml");
    for service in SERVICES {
        let istio = &yaml(&format!("helm/values/{service}.yaml"))["istio"];
        let public = &istio["public"];
        for protocol in ["http", "grpc"] {
            let of = |route: &&Value| {
                route["service"] == service && route["protocol"].as_str().unwrap_or("http") == protocol
            };
            let routes = gateway["routes"].as_array().unwrap().iter().filter(of);
            let paths = |list: &Value| -> BTreeSet<String> {
                list.as_array().into_iter().flatten().map(|path| path.as_str().unwrap().to_owned()).collect()
            };
            let let_through: BTreeSet<_> = routes.flat_map(|route| paths(&route["paths"])).collect();
            let mut named = paths(&public[protocol]);
            if protocol == "http" {
                named.extend(paths(&istio["streams"]));
            }
            assert_eq!(named, let_through, "{service} {protocol}");
        }
        for path in public["http"].as_array().unwrap() {
            assert!(!path.as_str().unwrap().starts_with("/internal"), "{service}");
        }
    }
}

/// Whether a policy selects a pod of these labels.
fn selects(policy: &Value, labels: &Value) -> bool {
    let wanted = policy["spec"]["podSelector"]["matchLabels"].as_object();
    wanted.is_none_or(|wanted| wanted.iter().all(|(name, value)| labels[name] == *value))
}

/// The database's port may be reached, by a policy that is there before the pod is.
#[test]
fn a_migration_reaches_its_database_in_a_namespace_that_denies_all() {
    let weight = |manifest: &Value| {
        manifest["metadata"]["annotations"]["helm.sh/hook-weight"].as_str().unwrap().parse::<i32>().unwrap()
    };
    for (service, port) in [("user", 5432), ("order", 27017), ("payment", 5432)] {
        let manifests = manifests(service, &[]);
        if manifests.is_empty() {
            return;
        }
        let name = format!("{service}-migration");
        let (job, policy) = (named(&manifests, "Job", &name), named(&manifests, "NetworkPolicy", &name));
        assert_eq!(job["metadata"]["annotations"]["helm.sh/hook"], policy["metadata"]["annotations"]["helm.sh/hook"]);
        assert!(weight(policy) < weight(job), "{service}");
        let pod = &job["spec"]["template"];
        assert!(selects(policy, &pod["metadata"]["labels"]), "{service}");
        let egress = policy["spec"]["egress"].as_array().unwrap();
        assert!(egress.iter().any(|rule| ports(rule).any(|one| *one == port)), "{service}");
        assert_eq!(pod["spec"]["serviceAccountName"], Value::Null, "the release's own is not there yet");
        for variable in pod["spec"]["containers"][0]["env"].as_array().unwrap() {
            assert!(variable["valueFrom"]["configMapKeyRef"].is_null(), "{service}: nor is its ConfigMap");
        }
        assert_eq!(pod["spec"]["containers"][0]["envFrom"], Value::Null);
    }
}

#[test]
fn the_shop_denies_all_and_lets_its_services_into_the_stores() {
    let manifests = shop(&["--set", "smoke.url=http://gateway.gateway:9080"]);
    if manifests.is_empty() {
        return;
    }
    let denied = &named(&manifests, "NetworkPolicy", "deny-all")["spec"];
    assert_eq!(*denied, json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
    let policies = of_kind(&manifests, "NetworkPolicy");
    for service in SERVICES {
        for to in yaml(&format!("helm/values/{service}.yaml"))["network"]["egress"].as_array().unwrap() {
            let met = policies.iter().filter(|policy| policy["spec"]["podSelector"]["matchLabels"] == to["podLabels"]);
            let caller = json!({"podSelector": {"matchLabels": {"app": service}}});
            let open = met
                .flat_map(|policy| policy["spec"]["ingress"].as_array().unwrap())
                .any(|rule| rule["from"] == json!([caller]) && rule["ports"] == json!([{"port": to["port"]}]));
            assert!(open, "{service} to {to}");
        }
    }
    for (name, pod) in pods(&manifests) {
        let own =
            |policy: &&&Value| policy["metadata"]["name"] != "deny-all" && selects(policy, &pod["metadata"]["labels"]);
        assert!(policies.iter().any(|policy| own(&policy)), "{name} has no policy of its own");
    }
}

/// The order that `helm test` places goes through the gateway, which the services let in.
#[test]
fn the_smoke_test_gets_to_the_gateway_and_the_gateway_to_the_services() {
    let manifests = shop(&["--set", "smoke.url=http://gateway.gateway:9080"]);
    if manifests.is_empty() {
        return;
    }
    let pod = named(&manifests, "Pod", "smoke");
    assert_eq!(pod["metadata"]["annotations"]["helm.sh/hook"], "test");
    assert_eq!(pod["spec"]["containers"][0]["args"], json!(["smoke", "http://gateway.gateway:9080"]));
    let tool = Command::new(binary("trireme").unwrap()).args(["smoke", "--help"]).output().unwrap();
    assert!(tool.status.success(), "the tool has the command");
    let egress = named(&manifests, "NetworkPolicy", "smoke")["spec"]["egress"].as_array().unwrap();
    let gateway = json!({"matchLabels": {"kubernetes.io/metadata.name": "gateway"}});
    assert!(
        egress.iter().any(|rule| rule["to"][0]["namespaceSelector"] == gateway && rule["ports"][0]["port"] == 9080)
    );
    for service in ["user", "order"] {
        let ingress = named(&manifests, "NetworkPolicy", service)["spec"]["ingress"].as_array().unwrap();
        let from =
            |rule: &&Value| rule["from"][0]["namespaceSelector"] == gateway && rule["ports"][0]["port"] == "http";
        assert!(ingress.iter().any(|rule| from(&rule)), "{service}");
    }
    assert!(
        of_kind(&shop(&[]), "Pod").iter().all(|pod| pod["metadata"]["name"] != "smoke"),
        "without an address, none"
    );
}
