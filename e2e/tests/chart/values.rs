//! The chart's values: each is explained, known to the schema, and used. helm/trireme/README.md is made of them.

use std::{collections::BTreeSet, env, fmt::Write as _, fs};

use serde_json::Value;

use crate::render::{ALL, EMBEDDED, manifests, root, yaml};

/// One value with its default, or a section of them without.
struct Row {
    path: String,
    default: Option<String>,
    comment: String,
}

/// What values.yaml says, line by line: a comment belongs to the key below it.
fn rows() -> Vec<Row> {
    let text = fs::read_to_string(root().join("helm/trireme/values.yaml")).unwrap();
    let (mut rows, mut path, mut comment) = (Vec::new(), Vec::<&str>::new(), Vec::new());
    for line in text.lines() {
        let content = line.trim_start();
        if let Some(more) = content.strip_prefix('#') {
            comment.push(more.trim());
        } else if let Some((key, value)) = content.split_once(':') {
            path.truncate((line.len() - content.len()) / 2);
            path.push(key);
            let default = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            if default.is_some() || !comment.is_empty() {
                rows.push(Row { path: path.join("."), default, comment: comment.join(" ") });
            }
            comment.clear();
        }
    }
    rows
}

fn readme() -> String {
    let mut text =
        "# trireme\n\nOne service of Trireme: the values of its chart. [Above](../README.md) is how it is used.\n\n\
        Made of the comments in [values.yaml](values.yaml): \
        `UPDATE=1 cargo test -p trireme-e2e --test chart readme`.\n\n\
        | value | default | what it is |\n|---|---|---|\n"
            .to_owned();
    for Row { path, default, comment } in rows() {
        let default = default.map(|value| format!("`{value}`")).unwrap_or_default();
        writeln!(text, "| `{path}` | {default} | {} |", comment.replace('|', "\\|")).unwrap();
    }
    text
}

#[test]
fn the_readme_says_what_the_values_say() {
    for row in rows() {
        assert!(!row.comment.is_empty(), "{} is not explained", row.path);
    }
    let file = root().join("helm/trireme/README.md");
    if env::var_os("UPDATE").is_some_and(|value| value == "1") {
        fs::write(&file, readme()).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(written == readme(), "{} is not what values.yaml says: UPDATE=1 writes it", file.display());
}

/// A map whose keys the schema lists knows each of the values, and no other.
fn closed(path: &str, schema: &Value, values: Option<&Value>) {
    if let Some(items) = schema.get("items") {
        closed(&format!("{path}[]"), items, None);
    }
    if schema["type"] != "object" {
        return;
    }
    let rest = schema.get("additionalProperties").or(schema.get("maxProperties"));
    assert!(rest.is_some(), "{path}: the schema takes whatever comes");
    let Some(known) = schema["properties"].as_object() else { return };
    let (refuses, given) = (*rest.unwrap() == false, values.and_then(Value::as_object));
    if let (true, Some(given)) = (refuses, given) {
        let names = |map: &serde_json::Map<String, Value>| -> BTreeSet<String> {
            map.keys().filter(|key| *key != "global").cloned().collect()
        };
        assert_eq!(names(known), names(given), "{path}: schema and values");
    }
    for (name, one) in known {
        closed(&format!("{path}.{name}"), one, given.and_then(|given| given.get(name)));
    }
}

#[test]
fn the_schema_knows_every_value_and_no_other() {
    let schema = fs::read_to_string(root().join("helm/trireme/values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    closed("", &schema, Some(&yaml("helm/trireme/values.yaml")));
}

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Another value for each, and what has to be set for it to count beside everything that is on.
const CHANGES: [(&str, &str, &str); 53] = [
    ("service", "", "service=user"),
    ("image.repository", "", "image.repository=registry.example.org/shop"),
    ("image.tag", "", "image.tag=0.9.0"),
    ("image.digest", "", "image.digest=DIGEST"),
    ("image.pullPolicy", "", "image.pullPolicy=Always"),
    ("image.pullSecrets", "", "image.pullSecrets={another}"),
    ("replicas", "autoscaling.enabled=false", "replicas=4"),
    ("config.http", "", "config.http.host=::"),
    ("config.grpc", "", "config.grpc.host=::"),
    ("config.admin", "", "config.admin.host=::"),
    ("config.limits", "", "config.limits.trusted_proxies=2"),
    ("config.telemetry", "", "config.telemetry.format=pretty"),
    ("config.shutdown", "", "config.shutdown.lame_duck=1s"),
    ("config.shutdown", "", "config.shutdown.deadline=20s"),
    ("secretConfig", "", "secretConfig.bus\\.url.secret=order,secretConfig.bus\\.url.key=bus-url"),
    ("secretFiles", "", "secretFiles.webhook\\.secret_file.secret=order,secretFiles.webhook\\.secret_file.key=webhook"),
    ("secretMounts", "", "secretMounts={kafka-order}"),
    ("otel.OTEL_EXPORTER_OTLP_ENDPOINT", "", "otel.OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317"),
    ("otel.OTEL_METRICS_EXPORTER", "", "otel.OTEL_METRICS_EXPORTER=otlp"),
    ("migration.enabled", "", "migration.enabled=false"),
    ("data.enabled", "EMBEDDED,data.enabled=false", "data.enabled=true"),
    ("data.size", "EMBEDDED", "data.size=2Gi"),
    ("data.storageClass", "EMBEDDED", "data.storageClass=fast"),
    ("resources.requests", "", "resources.requests.cpu=1"),
    ("resources.limits", "", "resources.limits.memory=1Gi"),
    ("drainSeconds", "", "drainSeconds=6"),
    ("autoscaling.enabled", "", "autoscaling.enabled=false"),
    ("autoscaling.min", "", "autoscaling.min=4"),
    ("autoscaling.max", "", "autoscaling.max=11"),
    ("autoscaling.cpu", "", "autoscaling.cpu=50"),
    ("autoscaling.callsPerSecond", "", "autoscaling.callsPerSecond=300"),
    ("autoscaling.metric", "", "autoscaling.metric=rpc_server_calls_per_second"),
    ("disruption.maxUnavailable", "", "disruption.maxUnavailable=2"),
    ("canary.enabled", "", "canary.enabled=false"),
    ("canary.replicas", "", "canary.replicas=2"),
    ("canary.tag", "", "canary.tag=0.3.0"),
    ("canary.digest", "", "canary.digest=DIGEST"),
    ("canary.weight", "", "canary.weight=25"),
    ("network.policy", "", "network.policy=false"),
    ("network.callers", "", "network.callers[0].app=edge,network.callers[0].port=http"),
    ("network.calls", "", "network.calls[0].app=edge,network.calls[0].port=http"),
    ("network.egress", "", "network.egress[0].port=27018,network.egress[0].podLabels.app=mongodb"),
    ("network.monitoring", "", "network.monitoring.team=operations"),
    ("metrics.serviceMonitor", "", "metrics.serviceMonitor=false"),
    ("metrics.interval", "", "metrics.interval=5s"),
    ("istio.enabled", "", "istio.enabled=false"),
    ("istio.trustDomain", "", "istio.trustDomain=shop.local"),
    ("istio.jwksUri", "", "istio.jwksUri="),
    ("istio.host", "", "istio.host=other.example.org"),
    ("istio.public", "", "istio.public.http[0]=/v2/*"),
    ("istio.gateway", "", "istio.gateway.namespace=edge"),
    ("istio.gateway", "", "istio.gateway.serviceAccount=edge"),
    ("istio.gateway", "", "istio.gateway.labels.istio=edge"),
];

const MORE: [(&str, &str, &str); 11] = [
    ("istio.canaryKey", "", "istio.canaryKey=fedcba9876543210fedcba9876543210"),
    ("istio.streams", "", "istio.streams={/v1/events}"),
    ("gatewayApi.enabled", "", "gatewayApi.enabled=false"),
    ("gatewayApi.hostnames", "", "gatewayApi.hostnames={other.example.org}"),
    ("gatewayApi.parent", "", "gatewayApi.parent.name=edge"),
    ("gatewayApi.parent", "", "gatewayApi.parent.namespace=edge"),
    ("gatewayApi.parent", "", "gatewayApi.parent.http=https"),
    (
        "gatewayApi.parent",
        "service=user,istio.public.grpc={/user.v1.UserService/GetUser}",
        "gatewayApi.parent.grpc=grpcs",
    ),
    ("nodeSelector", "", "nodeSelector.disk=ssd"),
    ("tolerations", "", "tolerations[0].key=spot,tolerations[0].operator=Exists"),
    ("podAnnotations", "", "podAnnotations.team=shop"),
];

#[test]
fn every_value_is_used() {
    let changes: Vec<_> = CHANGES.into_iter().chain(MORE).collect();
    let valued: BTreeSet<_> = rows().into_iter().filter(|row| row.default.is_some()).map(|row| row.path).collect();
    let tried: BTreeSet<_> = changes.iter().map(|(path, ..)| (*path).to_owned()).collect();
    assert_eq!(tried, valued, "each value is tried");
    for (path, base, set) in changes {
        let (base, set) = (base.replace("EMBEDDED", EMBEDDED), set.replace("DIGEST", DIGEST));
        let before = manifests("order", &[&ALL[..], &[&base]].concat());
        let after = manifests("order", &[&ALL[..], &[&base, &set]].concat());
        assert!(before.is_empty() || before != after, "{path} changes nothing");
    }
}
