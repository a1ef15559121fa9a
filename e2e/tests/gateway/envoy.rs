//! Envoy, the mesh on a laptop: its entry point has the same paths, each to the same service.

use serde_json::Value;

use crate::routes::{described, list, named, text, yaml};

/// Where the first route that matches leads to.
fn cluster(routes: &Value, path: &str, canary: bool) -> Option<String> {
    let matches = |route: &&Value| {
        let rule = &route["match"];
        let known =
            rule.as_object().unwrap().keys().all(|key| ["path", "path_separated_prefix", "headers"].contains(&&**key));
        assert!(known, "{rule}");
        let below = rule["path_separated_prefix"].as_str().is_some_and(|prefix| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        (below || rule["path"] == path) && (canary || rule.get("headers").is_none())
    };
    list(routes).iter().find(matches).map(|route| text(&route["route"]["cluster"]))
}

fn public() -> Value {
    let all = yaml("deploy/envoy/envoy.yaml");
    let listener = named(&all["static_resources"]["listeners"], "name", "public");
    let manager = &listener["filter_chains"][0]["filters"][0]["typed_config"];
    let routes = &manager["route_config"]["virtual_hosts"][0]["routes"];
    assert!(!list(routes).is_empty(), "Envoy has no routes");
    routes.clone()
}

#[test]
fn envoy_has_the_same_way_in() {
    let routes = public();
    for route in described().routes {
        let Some(host) = route.upstream.strip_prefix("http ").and_then(|to| to.split(':').next()) else { continue };
        let path = route.path.replace('*', "x");
        assert_eq!(cluster(&routes, &path, false), Some(format!("{host}-v1")), "{path}");
        assert_eq!(cluster(&routes, &path, true), Some(format!("{host}-canary")), "{path}");
    }
    for path in ["/", "/internal", "/internal/v1/audit", "/v1", "/v1/usersx", "/metrics"] {
        assert_eq!(cluster(&routes, path, true), None, "{path}");
    }
}

/// A path of Envoy's that the description does not have would be a second entry point.
#[test]
fn envoy_has_no_other_way_in() {
    for route in list(&public()) {
        let rule = &route["match"];
        let path = rule["path"].as_str().or(rule["path_separated_prefix"].as_str()).unwrap();
        assert!(described().routes.iter().any(|route| route.path.starts_with(path)), "{path}");
    }
}
