//! Rendering with the real helm.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde::Deserialize as _;
use serde_json::Value;

pub(crate) const SERVICES: [&str; 3] = ["user", "order", "payment"];

/// One pod with SQLite on a volume.
pub(crate) const EMBEDDED: &str = "data.enabled=true,replicas=1,autoscaling.enabled=false,canary.enabled=false";

/// Everything on that can be on together.
pub(crate) const ALL: [&str; 9] = [
    "istio.enabled=true,istio.host=shop.example.org",
    "istio.canaryKey=0123456789abcdef0123456789abcdef",
    "istio.jwksUri=https://shop.example.org/.well-known/jwks.json",
    "canary.enabled=true,canary.tag=0.2.0,canary.weight=5",
    "metrics.serviceMonitor=true",
    "autoscaling.callsPerSecond=200",
    "image.pullSecrets={registry}",
    "gatewayApi.enabled=true,gatewayApi.parent.name=public,gatewayApi.parent.namespace=gateway",
    // A store outside of the cluster.
    "network.egress[4].host=nats.example.org,network.egress[4].port=4222,network.egress[4].cidr=10.1.2.0/24",
];

/// Whatever watches the shop.
pub(crate) const WATCHED: &str = "monitoring.rules=true,monitoring.dashboards=true,collector.enabled=true";

/// What can be switched by itself.
const SWITCHES: [&str; 10] = [
    "istio.enabled=true",
    "istio.enabled=true,istio.host=shop.example.org",
    "canary.enabled=true,canary.tag=0.2.0",
    "gatewayApi.enabled=true,gatewayApi.parent.name=public",
    "metrics.serviceMonitor=true",
    "autoscaling.enabled=false",
    "autoscaling.callsPerSecond=200",
    "network.policy=false",
    "migration.enabled=false",
    EMBEDDED,
];

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Runs helm in its folder of the repository; `None` where it is not installed.
pub(crate) fn helm(arguments: &[&str]) -> Option<Output> {
    let program = testkit::servers::program("helm")?;
    Some(Command::new(program).args(arguments).current_dir(root().join("helm")).output().unwrap())
}

/// What is applied for a service; nothing where helm is not installed.
pub(crate) fn manifests(service: &str, set: &[&str]) -> Vec<Value> {
    let set: Vec<_> = set.iter().copied().filter(|set| !set.is_empty()).collect();
    let (values, set) = (format!("values/{service}.yaml"), set.join(","));
    template(&[service, "trireme", "-f", &values, "--set", &set])
}

/// What is applied for all three at once.
pub(crate) fn shop(arguments: &[&str]) -> Vec<Value> {
    template(&[&["shop", "shop"], arguments].concat())
}

fn template(arguments: &[&str]) -> Vec<Value> {
    let Some(output) = helm(&[&["template", "-n", "shop"], arguments].concat()) else { return Vec::new() };
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    documents(&String::from_utf8(output.stdout).unwrap())
}

/// The documents of a YAML text.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let all = serde_norway::Deserializer::from_str(text).map(|one| Value::deserialize(one).unwrap());
    all.filter(|manifest| !manifest.is_null()).collect()
}

/// A YAML file of the repository.
pub(crate) fn yaml(file: &str) -> Value {
    documents(&fs::read_to_string(root().join(file)).unwrap()).remove(0)
}

/// For each service without and with the switches.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Vec<Value>)> {
    SERVICES
        .into_iter()
        .flat_map(|service| [&[][..], &ALL[..]].into_iter().map(move |set| (service, manifests(service, set))))
}

/// Whatever is worth a look: each service and the shop, with each switch and with all of them.
pub(crate) fn every() -> Vec<(String, Vec<Value>)> {
    let mut every = Vec::new();
    for service in SERVICES {
        every.push((service.to_owned(), manifests(service, &[])));
        every.push((format!("{service} with all"), manifests(service, &ALL)));
    }
    for set in SWITCHES {
        every.push((format!("order {set}"), manifests("order", &[set])));
    }
    // The shop's list of stores is replaced, not added to.
    let all = ALL.join(",").replace("egress[4]", "egress[0]").replace(',', ",SERVICE.");
    let all = SERVICES.map(|service| format!("SERVICE.{all}").replace("SERVICE", service)).join(",");
    let smoke = "smoke.url=http://gateway.gateway:9080";
    every.push(("shop".to_owned(), shop(&["--set", smoke])));
    every.push(("shop embedded".to_owned(), shop(&["-f", "shop/embedded.yaml"])));
    for on in ["kafka", "rabbitmq", "search"] {
        every.push((format!("shop on {on}"), shop(&["-f", &format!("shop/{on}.yaml")])));
    }
    every.push(("shop watched".to_owned(), shop(&["--set", WATCHED])));
    every.push(("shop with all".to_owned(), shop(&["--set", smoke, "--set", &all])));
    every
}

pub(crate) fn of_kind<'a>(manifests: &'a [Value], kind: &str) -> Vec<&'a Value> {
    manifests.iter().filter(|manifest| manifest["kind"] == kind).collect()
}

/// Those of a kind that has to be there; none where nothing is rendered because helm is not installed.
pub(crate) fn some_of_kind<'a>(manifests: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let found = of_kind(manifests, kind);
    assert!(manifests.is_empty() || !found.is_empty(), "no {kind}");
    found
}

pub(crate) fn named<'a>(manifests: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = of_kind(manifests, kind).into_iter().find(|manifest| manifest["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// The templates of the pods that manifests make, with the names of what makes them.
pub(crate) fn pods(manifests: &[Value]) -> Vec<(String, &Value)> {
    let name = |manifest: &Value| format!("{} {}", manifest["kind"], manifest["metadata"]["name"]);
    let pod = |manifest: &'_ Value| match manifest["kind"].as_str() {
        Some("Deployment" | "Job") => Some("/spec/template"),
        Some("Pod") => Some(""),
        _ => None,
    };
    manifests.iter().filter_map(|manifest| Some((name(manifest), manifest.pointer(pod(manifest)?).unwrap()))).collect()
}

#[test]
fn charts_are_clean() {
    for service in SERVICES {
        let values = format!("values/{service}.yaml");
        let Some(output) = helm(&["lint", "--strict", "trireme", "-f", &values]) else { return };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    for values in
        ["shop/values.yaml", "shop/embedded.yaml", "shop/kafka.yaml", "shop/rabbitmq.yaml", "shop/search.yaml"]
    {
        let Some(output) = helm(&["lint", "--strict", "shop", "-f", values]) else { return };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn all_three_at_once_are_the_three_one_by_one() {
    let mut whole = yaml("helm/shop/values.yaml");
    whole.as_object_mut().unwrap().retain(|name, _| SERVICES.contains(&name.as_str()));
    let each = SERVICES.map(|service| (service.to_owned(), yaml(&format!("helm/values/{service}.yaml"))));
    assert_eq!(whole, Value::Object(each.into_iter().collect()));
    let described = |manifests: &[Value]| -> BTreeSet<String> {
        let name = |manifest: &Value| format!("{} {}", manifest["kind"], manifest["metadata"]["name"]);
        manifests.iter().map(name).collect()
    };
    let each: Vec<_> = SERVICES.into_iter().flat_map(|service| manifests(service, &[])).collect();
    assert_eq!(described(&shop(&["--set", "network.denyAll=false"])), described(&each));
}

#[test]
fn wrong_values_are_refused() {
    for (wrong, said) in [
        ("nonsense=1", "nonsense"),
        ("istio.nonsense=1", "nonsense"),
        ("canary.weight=101", "weight"),
        ("service=basket", "/service"),
        ("drainSeconds=-1", "drainSeconds"),
        ("istio.canaryKey=guessed", "canaryKey"),
        ("config.limits.request_timeout=1m", "request_timeout"),
        ("config.database.url=postgres://order:secret@host/order", "holds a password"),
        ("data.enabled=true", "data.enabled keeps SQLite on one volume"),
        ("canary.enabled=true", "canary.tag or canary.digest"),
        ("global.tag=1", "global"),
    ] {
        let arguments = ["template", "order", "trireme", "-f", "values/order.yaml", "--set", wrong];
        let Some(output) = helm(&arguments) else { return };
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(said), "{wrong}: {error}");
    }
}
