//! The settings that a release gives are ones that its binary takes.

use std::{fs, process::Command};

use e2e::binary;

use serde_json::{Value, json};

use crate::render::{SERVICES, all, documents, helm, manifests, named, of_kind, shop, some_of_kind};

#[test]
fn each_binary_takes_what_the_embedded_shop_gives() {
    let manifests = shop(&["-f", "shop/embedded.yaml"]);
    for service in SERVICES {
        let of_service = |manifest: &&Value| manifest["metadata"]["name"] == service;
        takes(service, &manifests.iter().filter(of_service).cloned().collect::<Vec<_>>());
    }
}

#[test]
fn each_binary_takes_what_its_release_gives() {
    for (service, manifests) in all() {
        takes(service, &manifests);
    }
}

/// Helm has numbers as floats and lists as Go's: a setting has them as they were written.
#[test]
fn a_setting_arrives_as_it_was_written() {
    let origins = ["https://a.example.org", "https://b.example.org:8443"];
    let config = json!({
        "limits": {"max_connections": 1_000_000, "max_in_flight": 512},
        "cors": {"origins": origins},
        "orders": {"patience": "20m"},
        "payment": {"client": {"retry_budget": 0.25, "breaker": {"window": 10_000, "failure_rate": 0.125}}},
        "bus": {"declare": false, "url": "nats://a,b:4222?prefix=<shop>&max_age=7d"},
    });
    let values = tempfile::NamedTempFile::new().unwrap();
    fs::write(values.path(), json!({"config": config}).to_string()).unwrap();
    let file = values.path().to_str().unwrap();
    let arguments =
        ["template", "order", "trireme", "-f", "values/order.yaml", "-f", file, "--set", "config.x.y=3000000"];
    let Some(output) = helm(&arguments) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut manifests = documents(&String::from_utf8(output.stdout).unwrap());
    let list = json!(origins).to_string();
    let expected = [
        ("TRIREME_LIMITS__MAX_CONNECTIONS", "1000000"),
        ("TRIREME_LIMITS__MAX_IN_FLIGHT", "512"),
        ("TRIREME_CORS__ORIGINS", list.as_str()),
        ("TRIREME_ORDERS__PATIENCE", "20m"),
        ("TRIREME_BUS__URL", "nats://a,b:4222?prefix=<shop>&max_age=7d"),
        ("TRIREME_PAYMENT__CLIENT__RETRY_BUDGET", "0.25"),
        ("TRIREME_PAYMENT__CLIENT__BREAKER__WINDOW", "10000"),
        ("TRIREME_PAYMENT__CLIENT__BREAKER__FAILURE_RATE", "0.125"),
        ("TRIREME_BUS__DECLARE", "false"),
        ("TRIREME_X__Y", "3000000"),
    ];
    let job = &named(&manifests, "Job", "order-migration")["spec"]["template"]["spec"]["containers"][0]["env"];
    let data = &named(&manifests, "ConfigMap", "order")["data"];
    for (name, value) in expected {
        assert_eq!(data[name], value, "{name}");
        let variable = json!({"name": name, "value": value});
        assert!(job.as_array().unwrap().contains(&variable), "the migration has {variable}");
    }
    // One that no service has.
    let config = manifests.iter_mut().find(|manifest| manifest["kind"] == "ConfigMap").unwrap();
    config["data"].as_object_mut().unwrap().remove("TRIREME_X__Y");
    let printed = takes("order", &manifests);
    assert!(printed.contains(&format!("origins = {}", list.replace(',', ", "))), "{printed}");
}

/// A bus with a password: its URL comes from a Secret, and the values' own is taken out.
#[test]
fn what_is_null_is_left_to_a_secret() {
    let secret = "secretConfig.bus\\.url.secret=order,secretConfig.bus\\.url.key=bus-url";
    let manifests = manifests("order", &["config.bus=null", secret]);
    for config in some_of_kind(&manifests, "ConfigMap") {
        assert!(config["data"]["TRIREME_BUS__URL"].is_null() && config["data"]["TRIREME_BUS"].is_null());
    }
    let set = "order.config.bus=null,".to_owned() + "order." + &secret.replace(',', ",order.");
    let shop = shop(&["--set", &set]);
    if !shop.is_empty() {
        let data = &named(&shop, "ConfigMap", "order")["data"];
        assert!(data["TRIREME_BUS__URL"].is_null() && data["TRIREME_BUS"].is_null());
    }
    takes("order", &manifests);
}

/// What docs/deploy.md has added for mail and for another issuer.
#[test]
fn mail_and_another_issuer_are_values() {
    let mail = "secretConfig.mail\\.url.secret=user,secretConfig.mail\\.url.key=mail-url,config.mail.from=no-reply@example.org";
    takes("user", &manifests("user", &[mail]));
    let outside = "config.auth.outside.issuer=https://id.example.org,config.auth.outside.audience=shop,\
                   config.auth.outside.jwks_url=https://id.example.org/certs";
    let mesh = "istio.enabled=true,istio.jwksUri=https://shop.example.org/keys";
    let manifests = manifests("order", &[outside, mesh]);
    takes("order", &manifests);
    for rules in some_of_kind(&manifests, "RequestAuthentication").iter().map(|policy| &policy["spec"]["jwtRules"]) {
        let theirs = json!({
            "issuer": "https://id.example.org", "audiences": ["shop"], "jwksUri": "https://id.example.org/certs",
            "forwardOriginalToken": true,
        });
        assert_eq!((rules[0]["issuer"].as_str(), &rules[1]), (Some("trireme-user"), &theirs));
    }
}

/// Returns the whole configuration, as the binary prints it.
fn takes(service: &str, manifests: &[Value]) -> String {
    let deployments = some_of_kind(manifests, "Deployment").into_iter();
    deployments.map(|deployment| takes_in(service, manifests, deployment)).collect()
}

fn takes_in(service: &str, manifests: &[Value], deployment: &Value) -> String {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "0123456789abcdef0123456789abcdef0123456789abcdef").unwrap();
    let mut command = Command::new(binary(service).unwrap());
    command.arg("config").env_clear().current_dir(folder.path());
    for config in of_kind(manifests, "ConfigMap") {
        let data = config["data"].as_object().unwrap();
        command.envs(data.iter().map(|(name, value)| (name, value.as_str().unwrap())));
    }
    let variables = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    for variable in variables {
        let name = variable["name"].as_str().unwrap();
        match &variable["value"] {
            // A secret's file is not here; a file that is serves.
            Value::String(path) if path.starts_with("/etc/trireme/secrets/") => {
                command.env(name, &secret);
            }
            Value::String(value) => {
                command.env(name, value);
            }
            _ => {
                command.env(name, "postgres://u:p@h/d");
            }
        }
    }
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{service}: {}", String::from_utf8_lossy(&output.stderr));
    let from_release = printed.lines().filter(|line| line.contains("# TRIREME_")).count();
    let given = of_kind(manifests, "ConfigMap")[0]["data"].as_object().unwrap().len();
    assert!(from_release >= given - 2, "{service}: {from_release} of {given} took effect:\n{printed}");
    printed.into_owned()
}
