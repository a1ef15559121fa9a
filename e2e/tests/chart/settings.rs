//! The settings that a release gives are ones that its binary takes.

use std::{fs, process::Command};

use e2e::binary;

use serde_json::Value;

use crate::render::{SERVICES, all, manifests, named, of_kind, shop, some_of_kind};

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

fn takes(service: &str, manifests: &[Value]) {
    for deployment in some_of_kind(manifests, "Deployment") {
        takes_in(service, manifests, deployment);
    }
}

fn takes_in(service: &str, manifests: &[Value], deployment: &Value) {
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
}
