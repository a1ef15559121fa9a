//! APISIX: its files say what the description says.

use serde_json::Value;

use crate::routes::{Gateway, Route, described, file, list, named, number, only, text, yaml};

pub(crate) const ROUTES: &str = "deploy/gateway/apisix/apisix.yaml";
pub(crate) const CONFIG: &str = "deploy/gateway/apisix/config.yaml";

fn route(all: &Value, route: &Value, path: &Value) -> Route {
    let upstream = named(&all["upstreams"], "id", &text(&route["upstream_id"]));
    assert_eq!(upstream["retries"], 0, "{upstream}");
    let nodes: Vec<_> = upstream["nodes"].as_object().unwrap().keys().collect();
    assert_eq!(nodes.len(), 1, "{upstream}");
    let timeout = &upstream["timeout"];
    assert_eq!(timeout["send"], timeout["read"]);
    let plugins = &route["plugins"];
    let rate = &plugins["limit-count"];
    assert_eq!(
        (&rate["time_window"], &rate["key"], &rate["rejected_code"]),
        (&60.into(), &"remote_addr".into(), &429.into())
    );
    let enter = &plugins["serverless-pre-function"];
    assert_eq!(enter["phase"], "rewrite");
    let enter = text(only(&enter["functions"]));
    let token = enter.strip_prefix(r#"return function() require("trireme").enter(""#);
    Route {
        path: text(path),
        upstream: format!("{} {}", text(&upstream["scheme"]), nodes[0]),
        token: token.and_then(|token| token.strip_suffix(r#"") end"#)).unwrap().to_owned(),
        requests_a_minute: number(&rate["count"]),
        body_bytes: number(&plugins["client-control"]["max_body_size"]),
        connect_ms: 1000 * number(&timeout["connect"]),
        answer_ms: 1000 * number(&timeout["read"]),
        upgrade: route["enable_websocket"] == true,
    }
}

fn read() -> Gateway {
    let all = yaml(ROUTES);
    let global = only(&all["global_rules"]);
    let cors = &global["plugins"]["cors"];
    assert_eq!(cors["allow_credential"], false);
    let split = |value: &Value| text(value).split(',').map(str::to_owned).collect();
    let routes = list(&all["routes"]);
    Gateway {
        routes: routes.iter().flat_map(|one| list(&one["uris"]).iter().map(|path| route(&all, one, path))).collect(),
        request_id: text(&global["plugins"]["request-id"]["header_name"]),
        origins: split(&cors["allow_origins"]),
        methods: split(&cors["allow_methods"]),
        headers: split(&cors["allow_headers"]),
        exposed: split(&cors["expose_headers"]),
        max_age: number(&cors["max_age"]),
    }
}

#[test]
fn apisix_says_what_is_described() {
    assert_eq!(read(), described());
}

/// APISIX takes the file when this line ends it, and shares what YAML aliases share.
#[test]
fn apisix_takes_the_file() {
    assert!(file(ROUTES).ends_with("\n#END\n"));
    assert!(!file(ROUTES).contains(": &") && !file(ROUTES).contains(": *"));
}

#[test]
fn nobody_changes_apisix_from_outside() {
    let config = yaml(CONFIG);
    assert_eq!(config["deployment"]["role"], "data_plane");
    assert_eq!(config["deployment"]["role_data_plane"]["config_provider"], "yaml");
    assert_eq!(config["apisix"]["enable_admin"], false);
    assert_eq!(config["apisix"]["enable_control"], false);
    assert_eq!(config["apisix"]["node_listen"], serde_json::json!([9080, 9081]));
}
