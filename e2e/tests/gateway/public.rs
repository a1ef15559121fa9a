//! The description fits the services: what is public is let through, and nothing else.

use std::time::Duration;

use serde_json::Value;

use crate::routes::{described, file};

pub(crate) const SERVICES: [&str; 3] = ["user", "order", "payment"];

/// The addresses in a service's document.
fn addresses(service: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(&file(&format!("docs/openapi/{service}.json"))).unwrap();
    document["paths"].as_object().unwrap().keys().map(|path| path.replace(['{', '}'], "")).collect()
}

/// The upstreams of the routes that take a path.
pub(crate) fn takers(path: &str) -> Vec<String> {
    let takers: Vec<_> = described().routes.into_iter().filter(|route| route.takes(path)).collect();
    // The longest path takes.
    let longest = takers.iter().map(|route| route.path.len()).max();
    takers.into_iter().filter(|route| Some(route.path.len()) == longest).map(|route| route.upstream).collect()
}

#[test]
fn each_public_address_goes_to_its_service() {
    for service in SERVICES {
        for path in addresses(service) {
            let expected = if path.starts_with("/internal/") { vec![] } else { vec![format!("http {service}:8080")] };
            assert_eq!(takers(&path), expected, "{path}");
        }
    }
}

/// What only a service may call is not for people.
#[test]
fn each_public_method_goes_to_its_service() {
    let proto = file("proto/user/v1/user.proto");
    let methods: Vec<_> =
        proto.lines().filter_map(|line| line.trim().strip_prefix("rpc ")?.split('(').next()).collect();
    assert!(methods.contains(&"BatchGetUsers"));
    for method in methods {
        let expected = if method == "BatchGetUsers" { vec![] } else { vec!["grpc user:9090".to_owned()] };
        assert_eq!(takers(&format!("/user.v1.UserService/{method}")), expected, "{method}");
    }
}

#[test]
fn nothing_else_is_let_through() {
    for path in ["/", "/internal", "/internal/v1/audit", "/metrics", "/healthz/ready", "/v1/usersx", "/v1", "/v2/users"]
    {
        assert_eq!(takers(path), [""; 0], "{path}");
    }
    for path in ["/payment.v1.PaymentService/Authorize", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"] {
        assert_eq!(takers(path), [""; 0], "{path}");
    }
}

#[test]
fn addresses_that_change_something_need_a_token() {
    let open = described().routes.into_iter().filter(|route| route.token == "none").map(|route| route.path);
    let expected = [
        "/.well-known/jwks.json",
        "/graphql",
        "/graphql/stream",
        "/openapi.json",
        "/problems",
        "/problems/*",
        "/user.v1.UserService/Authenticate",
        "/user.v1.UserService/CreateUser",
        "/v1/docs",
        "/v1/email-verifications",
        "/v1/openapi.json",
        "/v1/orders/stream",
        "/v1/password-resets",
        "/v1/password-resets/complete",
        "/v1/sessions",
        "/v1/sessions/refresh",
        "/v1/users",
        "/v1/webhooks/*",
    ];
    assert_eq!(open.collect::<Vec<_>>(), expected);
    assert!(described().routes.iter().all(|route| ["none", "writes", "required"].contains(&&*route.token)));
}

#[test]
fn a_gateway_waits_longer_than_a_service_works() {
    for service in SERVICES {
        let config = file(&format!("services/{service}/config.default.toml"));
        let seconds = config.split("request_timeout = \"").nth(1).unwrap().split("s\"").next().unwrap();
        let longest = Duration::from_secs(seconds.parse::<u64>().unwrap() + 1);
        for route in described().routes {
            assert_eq!(Duration::from_millis(route.answer_ms), longest, "{service} {}", route.path);
        }
    }
}
