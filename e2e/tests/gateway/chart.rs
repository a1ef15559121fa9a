//! The chart: what its routes let through from outside is what the description says, on a Gateway (Gateway API) and on
//! Istio's ingress gateway, as far as they can express it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use serde::Deserialize as _;
use serde_json::Value;

use crate::routes::{Route, described, list, number, only, text, texts};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A path, where it goes to, how long that may take.
type Way = (String, String, Option<u64>);

/// Ways that are open to who shows these headers.
struct Rule {
    shown: BTreeSet<String>,
    removed: Vec<String>,
    ways: Vec<Way>,
}

/// What is applied for a service; nothing where helm is not installed.
fn manifests(service: &str, set: &str) -> Option<Vec<Value>> {
    let program = testkit::servers::program("helm")?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("helm");
    let values = format!("values/{service}.yaml");
    let arguments = ["template", service, "trireme", "-f", &values, "--set", set];
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let all = serde_norway::Deserializer::from_str(&text).map(|one| Value::deserialize(one).unwrap());
    Some(all.filter(|manifest| !manifest.is_null()).collect())
}

fn seconds(value: &Value) -> Option<u64> {
    value.as_str().map(|text| text.strip_suffix('s').unwrap().parse().unwrap())
}

/// A rule of an `HTTPRoute` or `GRPCRoute`.
fn of_gateway(protocol: &str, rule: &Value) -> Rule {
    let backend = only(&rule["backendRefs"]);
    let upstream = format!("{protocol} {}:{}", text(&backend["name"]), number(&backend["port"]));
    let path = |one: &Value| match (one["path"]["type"].as_str(), &one["path"]["value"], &one["method"]) {
        (Some("PathPrefix"), value, _) => format!("{}/*", text(value)),
        (Some(_), value, _) => text(value),
        (None, _, method) => format!("/{}/{}", text(&method["service"]), text(&method["method"])),
    };
    let shown = |one: &Value| list(&one["headers"]).iter().map(header).collect();
    Rule {
        removed: texts(&only(&rule["filters"])["requestHeaderModifier"]["remove"]),
        shown: same(list(&rule["matches"]).iter().map(shown)),
        ways: list(&rule["matches"])
            .iter()
            .map(|one| (path(one), upstream.clone(), seconds(&rule["timeouts"]["request"])))
            .collect(),
    }
}

fn header(header: &Value) -> String {
    format!("{}: {}", text(&header["name"]), text(&header["value"]))
}

/// A rule of Istio's `VirtualService`; its timeout for gRPC has no counterpart.
fn of_istio(rule: &Value) -> Rule {
    let to = &only(&rule["route"])["destination"];
    let port = number(&to["port"]["number"]);
    let protocol = if port == 9090 { "grpc" } else { "http" };
    let upstream = format!("{protocol} {}-{}:{port}", text(&to["host"]), text(&to["subset"]));
    let path =
        |one: &Value| one["uri"]["prefix"].as_str().map_or_else(|| text(&one["uri"]["exact"]), |to| format!("{to}*"));
    let shown = |one: &Value| {
        let headers = one["headers"].as_object().into_iter().flatten();
        headers.map(|(name, value)| format!("{name}: {}", text(&value["exact"]))).collect()
    };
    let timeout = seconds(&rule["timeout"]).filter(|_| protocol == "http");
    Rule {
        removed: texts(&rule["headers"]["request"]["remove"]),
        shown: same(list(&rule["match"]).iter().map(shown)),
        ways: list(&rule["match"]).iter().map(|one| (path(one), upstream.clone(), timeout)).collect(),
    }
}

/// What all paths of a rule ask for.
fn same(shown: impl Iterator<Item = BTreeSet<String>>) -> BTreeSet<String> {
    let each: BTreeSet<_> = shown.collect();
    assert_eq!(each.len(), 1, "{each:?}");
    each.into_iter().next().unwrap()
}

/// The rules of a service, each platform with its own; none where helm is not installed.
fn platforms(service: &str, set: &str) -> Vec<(&'static str, Vec<Rule>)> {
    let gateway = manifests(service, &format!("gatewayApi.enabled=true,gatewayApi.parent.name=public{set}"));
    let istio = manifests(service, &format!("istio.enabled=true,istio.host=shop.example.org{set}"));
    let (Some(gateway), Some(istio)) = (gateway, istio) else { return Vec::new() };
    let rules = |manifest: &Value| list(&manifest["spec"]["rules"]).to_vec();
    let gateway = gateway.iter().flat_map(|manifest| match manifest["kind"].as_str() {
        Some("HTTPRoute") => rules(manifest).iter().map(|rule| of_gateway("http", rule)).collect(),
        Some("GRPCRoute") => rules(manifest).iter().map(|rule| of_gateway("grpc", rule)).collect(),
        _ => Vec::new(),
    });
    let name = format!("{service}-public");
    let public = istio.iter().find(|one| one["kind"] == "VirtualService" && one["metadata"]["name"] == *name);
    let istio = list(&public.unwrap()["spec"]["http"]).iter().map(of_istio);
    vec![("Gateway API", gateway.collect()), ("Istio", istio.collect())]
}

/// What the description says of a service, in `version`.
fn expected(service: &str, version: &str) -> BTreeSet<Way> {
    let routes = described().routes.into_iter().filter(|route| route.upstream.contains(&format!(" {service}:")));
    let way = |route: Route| {
        let upstream = route.upstream.replace(service, &format!("{service}-{version}"));
        // Gateway API has no timeout for gRPC.
        let limit = if route.is_endless() { 0 } else { route.answer_ms / 1000 };
        let timeout = route.upstream.starts_with("http ").then_some(limit);
        (route.path, upstream, timeout)
    };
    routes.map(way).collect()
}

/// The ways of who shows these headers, and what is removed from what they send.
fn open_to<const N: usize>(shown: [&str; N], rules: &[Rule]) -> (BTreeSet<Way>, BTreeSet<String>) {
    let shown = shown.map(str::to_owned).into();
    let those = rules.iter().filter(|rule| rule.shown == shown);
    (those.clone().flat_map(|rule| rule.ways.clone()).collect(), those.flat_map(|rule| rule.removed.clone()).collect())
}

const REMOVED: [&str; 3] = ["x-canary", "x-canary-key", "x-service-credential"];

#[test]
fn the_chart_says_what_is_described_and_has_no_canary() {
    for service in ["user", "order", "payment"] {
        for (platform, rules) in platforms(service, "") {
            assert!(rules.iter().all(|rule| rule.shown.is_empty()), "{platform} {service}");
            let everybody = open_to([], &rules);
            assert_eq!(everybody, (expected(service, "v1"), REMOVED.map(str::to_owned).into()), "{platform} {service}");
        }
    }
}

/// The key, and nothing else, leads to the canary and keeps its mark.
#[test]
fn the_canary_is_for_who_has_the_key() {
    let key = format!("x-canary-key: {KEY}");
    for service in ["user", "order"] {
        let set = format!(",istio.canaryKey={KEY},canary.enabled=true,canary.tag=0.2.0");
        for (platform, rules) in platforms(service, &set) {
            let everybody = open_to([], &rules);
            assert_eq!(everybody, (expected(service, "v1"), REMOVED.map(str::to_owned).into()), "{platform} {service}");
            let known = open_to(["x-canary: true", &key], &rules);
            let removed = ["x-canary-key", "x-service-credential"].map(str::to_owned).into();
            assert_eq!(known, (expected(service, "v2"), removed), "{platform} {service}");
            let versions = rules.iter().filter(|rule| !rule.shown.contains("x-canary: true"));
            assert!(versions.flat_map(|rule| &rule.ways).all(|way| way.1.contains("-v1:")), "{platform} {service}");
        }
    }
}

/// The Services that a Gateway takes the versions from.
#[test]
fn each_version_has_a_service() {
    let set = "gatewayApi.enabled=true,gatewayApi.parent.name=public,canary.enabled=true,canary.tag=0.2.0";
    let Some(manifests) = manifests("order", set) else { return };
    let services = manifests.iter().filter(|manifest| manifest["kind"] == "Service");
    let version = |one: &Value| (text(&one["metadata"]["name"]), text(&one["spec"]["selector"]["version"]));
    let found = services.filter(|one| text(&one["metadata"]["name"]).starts_with("order-v")).map(version);
    let expected =
        [("order-v1", "v1"), ("order-v2", "v2")].map(|(name, version)| (name.to_owned(), version.to_owned()));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), expected.into());
}
