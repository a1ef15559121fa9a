//! The plugins that the gateways are configured with, with the fields that those have.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    apisix, kong,
    routes::{file, list, text, texts, yaml},
};

type Known = &'static [(&'static str, &'static [&'static str])];

/// From the schemas of APISIX 3.17.
const APISIX: Known = &[
    ("client-control", &["max_body_size"]),
    ("cors", &["allow_origins", "allow_methods", "allow_headers", "expose_headers", "max_age", "allow_credential"]),
    ("limit-count", &["count", "time_window", "key", "rejected_code", "policy"]),
    ("request-id", &["header_name", "include_in_response", "algorithm"]),
    ("serverless-post-function", &["phase", "functions"]),
    ("serverless-pre-function", &["phase", "functions"]),
];

/// From the schemas of Kong 3.9.
const KONG: Known = &[
    ("correlation-id", &["header_name", "generator", "echo_downstream"]),
    ("cors", &["origins", "methods", "headers", "exposed_headers", "max_age", "credentials", "preflight_continue"]),
    ("post-function", &["header_filter", "body_filter"]),
    ("pre-function", &["access"]),
    ("rate-limiting", &["minute", "limit_by", "policy", "error_code"]),
    ("request-size-limiting", &["allowed_payload_size", "size_unit"]),
    ("request-termination", &["status_code", "content_type", "body"]),
];

/// The plugins that are used, each with all fields that are set.
type Used = BTreeMap<String, BTreeSet<String>>;

fn used(plugins: impl Iterator<Item = (String, Value)>) -> Used {
    let mut used = Used::new();
    for (name, config) in plugins {
        used.entry(name).or_default().extend(config.as_object().unwrap().keys().cloned());
    }
    used
}

fn used_by_apisix() -> Used {
    let all = yaml(apisix::ROUTES);
    let holders: Vec<_> = [&all["routes"], &all["global_rules"]].into_iter().flat_map(list).cloned().collect();
    used(holders.iter().flat_map(|one| one["plugins"].as_object().unwrap().clone()))
}

fn used_by_kong() -> Used {
    let all = yaml(kong::ROUTES);
    let services = list(&all["services"]).iter().flat_map(|service| list(&service["routes"]));
    let holders = services.chain(list(&all["routes"])).chain([&all]);
    let plugins = holders.flat_map(|holder| list(&holder["plugins"]));
    used(plugins.map(|plugin| (text(&plugin["name"]), plugin["config"].clone())))
}

fn known(plugins: Known) -> Used {
    let owned = |fields: &[&str]| fields.iter().map(|&field| field.to_owned()).collect();
    plugins.iter().map(|(name, fields)| ((*name).to_owned(), owned(fields))).collect()
}

#[test]
fn plugins_and_their_fields_exist() {
    assert_eq!(used_by_apisix(), known(APISIX));
    assert_eq!(used_by_kong(), known(KONG));
}

#[test]
fn apisix_loads_what_it_uses() {
    let loaded = texts(&yaml(apisix::CONFIG)["plugins"]).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(loaded, used_by_apisix().into_keys().collect());
}

#[test]
fn kong_loads_what_it_uses() {
    let environment = file("deploy/gateway/kong/kong.env");
    let loaded = environment.lines().find_map(|line| line.strip_prefix("KONG_PLUGINS=")).unwrap();
    assert_eq!(loaded.split(',').map(str::to_owned).collect::<BTreeSet<_>>(), used_by_kong().into_keys().collect());
    assert!(environment.contains("\nKONG_ADMIN_LISTEN=off\n"));
}

/// The headers that are not for strangers, in the file that both gateways load.
#[test]
fn headers_are_kept_out() {
    let lua = file("deploy/gateway/lua/trireme.lua");
    let headers = &yaml("deploy/gateway/routes.yaml")["headers"];
    let removed = [texts(&headers["removed"]), vec![text(&headers["canary"])]].concat();
    let cleared = lua.split(r#"ngx.req.clear_header(""#).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    assert_eq!(cleared.collect::<BTreeSet<_>>(), removed.into_iter().collect());
    assert!(file("crates/auth/src/credential.rs").contains(r#"CREDENTIAL_HEADER: &str = "x-service-credential""#));
}
