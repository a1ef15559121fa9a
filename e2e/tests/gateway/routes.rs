//! What a gateway lets through, in one form for all of them.

use std::{collections::BTreeSet, path::PathBuf};

use serde_json::Value;

/// One path and all that holds for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Route {
    /// With `*` at its end: all that begins so.
    pub(crate) path: String,
    /// `PROTOCOL HOST:PORT`.
    pub(crate) upstream: String,
    /// required, writes or none; the same call keeps the canary and the services' credential out.
    pub(crate) token: String,
    pub(crate) requests_a_minute: u64,
    pub(crate) body_bytes: u64,
    pub(crate) connect_ms: u64,
    pub(crate) answer_ms: u64,
    pub(crate) upgrade: bool,
}

impl Route {
    /// Whether its answer does not end: nothing limits how long it takes, where a gateway would.
    pub(crate) fn is_endless(&self) -> bool {
        let all = yaml("deploy/gateway/routes.yaml");
        let holds = |route: &&Value| texts(&route["paths"]).contains(&self.path);
        list(&all["routes"]).iter().find(holds).is_some_and(|route| route["endless"] == true)
    }

    pub(crate) fn takes(&self, path: &str) -> bool {
        match self.path.strip_suffix('*') {
            Some(beginning) => path.starts_with(beginning),
            None => path == self.path,
        }
    }
}

/// A gateway: its routes and what holds for all of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gateway {
    pub(crate) routes: BTreeSet<Route>,
    pub(crate) request_id: String,
    pub(crate) origins: Vec<String>,
    pub(crate) methods: Vec<String>,
    pub(crate) headers: Vec<String>,
    pub(crate) exposed: Vec<String>,
    pub(crate) max_age: u64,
}

/// A file of the repository.
pub(crate) fn file(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn yaml(path: &str) -> Value {
    serde_norway::from_str(&file(path)).unwrap()
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The one item of a list.
pub(crate) fn only(value: &Value) -> &Value {
    let [one] = list(value) else { panic!("there is not one: {value}") };
    one
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

pub(crate) fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(text).collect()
}

pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Among `all`, the one whose `key` is `name`.
pub(crate) fn named<'a>(all: &'a Value, key: &str, name: &str) -> &'a Value {
    list(all).iter().find(|one| one[key] == name).unwrap_or_else(|| panic!("there is no {name}"))
}

/// What the description says.
pub(crate) fn described() -> Gateway {
    let all = yaml("deploy/gateway/routes.yaml");
    let limits = &all["limits"];
    let route = |route: &Value, path: &Value| {
        let protocol = route["protocol"].as_str().unwrap_or("http");
        let service = &all["services"][text(&route["service"])];
        Route {
            path: text(path),
            upstream: format!("{protocol} {}:{}", text(&service["host"]), number(&service[protocol])),
            token: text(&route["token"]),
            requests_a_minute: number(route.get("rate").unwrap_or(&limits["rate"])),
            body_bytes: number(&limits["body"]),
            connect_ms: 1000 * number(&limits["connect"]),
            answer_ms: 1000 * number(&limits["answer"]),
            upgrade: route["upgrade"] == true,
        }
    };
    let routes = list(&all["routes"]);
    assert!(!routes.is_empty(), "nothing is described");
    Gateway {
        routes: routes.iter().flat_map(|one| list(&one["paths"]).iter().map(move |path| route(one, path))).collect(),
        request_id: text(&all["headers"]["request_id"]),
        origins: texts(&all["cors"]["origins"]),
        methods: texts(&all["cors"]["methods"]),
        headers: texts(&all["cors"]["headers"]),
        exposed: texts(&all["cors"]["exposed"]),
        max_age: number(&all["cors"]["max_age"]),
    }
}
