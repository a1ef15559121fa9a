//! Rendering with the real helm.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde::Deserialize as _;
use serde_json::Value;

pub(crate) const SERVICES: [&str; 3] = ["user", "order", "payment"];

/// Everything on, as far as a service can have it.
pub(crate) fn switches(service: &str) -> Vec<&'static str> {
    let mut all = vec!["istio.enabled=true", "metrics.serviceMonitor=true", "istio.jwksUri=http://user:8080/keys"];
    if service != "payment" {
        all.extend(["canary.enabled=true", "canary.tag=0.2.0", "autoscaling.requestsPerSecond=200"]);
    }
    all
}

fn helm_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("helm")
}

/// Runs helm in its folder of the repository; `None` where it is not installed.
pub(crate) fn helm(arguments: &[&str]) -> Option<Output> {
    let program = testkit::servers::program("helm")?;
    Some(Command::new(program).args(arguments).current_dir(helm_folder()).output().unwrap())
}

/// What is applied for a service; nothing where helm is not installed.
pub(crate) fn manifests(service: &str, set: &[&str]) -> Vec<Value> {
    let (values, set) = (format!("values/{service}.yaml"), set.join(","));
    template(&[service, "trireme", "-f", &values, "--set", &set])
}

/// What is applied for all three at once.
pub(crate) fn shop(arguments: &[&str]) -> Vec<Value> {
    template(&[&["shop", "shop"], arguments].concat())
}

fn template(arguments: &[&str]) -> Vec<Value> {
    let Some(output) = helm(&[&["template", "-n", "shop"], arguments].concat()) else { return Vec::new() };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let all = serde_norway::Deserializer::from_str(&text).map(|one| Value::deserialize(one).unwrap());
    all.filter(|manifest| !manifest.is_null()).collect()
}

/// A file of values.
pub(crate) fn values(file: &str) -> Value {
    serde_norway::from_str(&std::fs::read_to_string(helm_folder().join(file)).unwrap()).unwrap()
}

/// For each service without and with the switches.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Vec<Value>)> {
    SERVICES.into_iter().flat_map(|service| {
        [Vec::new(), switches(service)].into_iter().map(move |set| (service, manifests(service, &set)))
    })
}

pub(crate) fn of_kind<'a>(manifests: &'a [Value], kind: &str) -> Vec<&'a Value> {
    manifests.iter().filter(|manifest| manifest["kind"] == kind).collect()
}

/// The pods that a service's manifests make, with the names of what makes them.
pub(crate) fn pods(manifests: &[Value]) -> Vec<(String, &Value)> {
    let name = |manifest: &Value| format!("{} {}", manifest["kind"], manifest["metadata"]["name"]);
    let pod = |manifest: &'_ Value| match manifest["kind"].as_str() {
        Some("Deployment" | "Job") => Some("/spec/template/spec"),
        Some("Pod") => Some("/spec"),
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
    for values in ["shop/values.yaml", "shop/embedded.yaml"] {
        let Some(output) = helm(&["lint", "--strict", "shop", "-f", values]) else { return };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn all_three_at_once_are_the_three_one_by_one() {
    let mut whole = values("shop/values.yaml");
    whole.as_object_mut().unwrap().remove("nats");
    let each = SERVICES.map(|service| (service.to_owned(), values(&format!("values/{service}.yaml"))));
    assert_eq!(whole, Value::Object(each.into_iter().collect()));
    let told = |manifests: &[Value]| -> BTreeSet<String> {
        let name = |manifest: &Value| format!("{} {}", manifest["kind"], manifest["metadata"]["name"]);
        manifests.iter().map(name).collect()
    };
    let each: Vec<_> = SERVICES.into_iter().flat_map(|service| manifests(service, &[])).collect();
    assert_eq!(told(&shop(&[])), told(&each));
}

#[test]
fn wrong_values_are_refused() {
    for (wrong, said) in [
        ("nonsense=1", "nonsense"),
        ("canary.weight=5", "weight"),
        ("service=basket", "/service"),
        ("drainSeconds=-1", "drainSeconds"),
        ("data.enabled=true", "data.enabled keeps SQLite on one volume"),
    ] {
        let arguments = ["template", "order", "trireme", "-f", "values/order.yaml", "--set", wrong];
        let Some(output) = helm(&arguments) else { return };
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(said), "{wrong}: {error}");
    }
}
