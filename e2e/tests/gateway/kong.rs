//! Kong: its file says what the description says.

use serde_json::Value;

use crate::routes::{Gateway, Route, described, file, list, named, number, only, text, texts, yaml};

pub(crate) const ROUTES: &str = "deploy/gateway/kong/kong.yml";

/// Kong's word for a path as ours: a regular expression for one path, or the beginning of many.
fn path(value: &Value) -> String {
    let text = text(value);
    let Some(expression) = text.strip_prefix('~') else {
        assert!(text.ends_with('/'), "{text} begins other paths, too");
        return format!("{text}*");
    };
    let exact = expression.strip_suffix('$').unwrap_or_else(|| panic!("{text} does not end")).replace("\\.", "\0");
    assert!(!exact.contains(['.', '\\', '*', '+', '?', '(', '[', '{', '|', '^', '$']), "{text} matches others, too");
    exact.replace('\0', ".")
}

fn config<'a>(plugins: &'a Value, name: &str) -> &'a Value {
    &named(plugins, "name", name)["config"]
}

fn route(all: &Value, service: &Value, route: &Value, value: &Value) -> Route {
    let upstream = named(&all["upstreams"], "name", &text(&service["host"]));
    let target = only(&upstream["targets"]);
    let protocol = text(&service["protocol"]);
    assert_eq!(*only(&route["protocols"]), protocol);
    // Kong strips the matched path unless it is configured not to, and asks again five times.
    assert_eq!((&route["strip_path"], &service["retries"]), (&false.into(), &0.into()), "{route}");
    assert_eq!(service["write_timeout"], service["read_timeout"]);
    let (plugins, path) = (&route["plugins"], path(value));
    let (size, rate) = (config(plugins, "request-size-limiting"), config(plugins, "rate-limiting"));
    assert_eq!(size["size_unit"], "bytes");
    assert_eq!((&rate["limit_by"], &rate["error_code"]), (&"ip".into(), &429.into()));
    let enter = text(only(&config(plugins, "pre-function")["access"]));
    let token = enter.strip_prefix(r#"require("trireme").enter(""#);
    Route {
        path,
        token: token.and_then(|token| token.strip_suffix(r#"")"#)).unwrap().to_owned(),
        requests_a_minute: number(&rate["minute"]),
        body_bytes: number(&size["allowed_payload_size"]),
        connect_ms: number(&service["connect_timeout"]),
        answer_ms: number(&service["read_timeout"]),
        // Kong always does.
        upgrade: protocol == "http",
        upstream: format!("{protocol} {}", text(&target["target"])),
    }
}

fn read() -> Gateway {
    let all = yaml(ROUTES);
    let mut gateway = Gateway { routes: [].into(), ..shared(&all["plugins"]) };
    for service in list(&all["services"]) {
        for one in list(&service["routes"]) {
            gateway.routes.extend(list(&one["paths"]).iter().map(|path| route(&all, service, one, path)));
        }
    }
    gateway
}

fn shared(plugins: &Value) -> Gateway {
    let cors = config(plugins, "cors");
    assert_eq!(cors["credentials"], false);
    Gateway {
        routes: [].into(),
        request_id: text(&config(plugins, "correlation-id")["header_name"]),
        origins: texts(&cors["origins"]),
        methods: texts(&cors["methods"]),
        headers: texts(&cors["headers"]),
        exposed: texts(&cors["exposed_headers"]),
        max_age: number(&cors["max_age"]),
    }
}

#[test]
fn kong_says_what_is_described() {
    assert_eq!(read(), described());
}

#[test]
fn kong_takes_the_file() {
    assert_eq!(yaml(ROUTES)["_format_version"], "3.0");
    assert!(!file(ROUTES).contains(": &") && !file(ROUTES).contains(": *"));
}

/// The only route without a service ends what no other route takes.
#[test]
fn kong_answers_404_for_the_rest() {
    let all = yaml(ROUTES);
    let rest = only(&all["routes"]);
    assert_eq!(rest["paths"], serde_json::json!(["/"]));
    assert_eq!(config(&rest["plugins"], "request-termination")["status_code"], 404);
}
