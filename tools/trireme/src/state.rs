//! What a supervisor writes down for others, and for the next one.

use serde::{Deserialize, Serialize};
use servers::Server;

use crate::service::Service;

/// What watches the services, by the names of its programs: the collector takes OTLP by gRPC at its port, the other two
/// answer HTTP at theirs.
pub(crate) const COLLECTOR: &str = "otelcol";
pub(crate) const JAEGER: &str = "jaeger";
pub(crate) const PROMETHEUS: &str = "prometheus";

/// The state file of a data directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The supervisor's version.
    pub version: String,
    /// The supervisor, while it runs.
    pub pid: Option<u32>,
    /// Whether the products were loaded into the embedded database.
    pub seeded: bool,
    /// The same of the real servers.
    #[serde(default)]
    pub seeded_servers: bool,
    /// The servers that the services run on; empty on embedded defaults.
    #[serde(default)]
    pub servers: Vec<ServerState>,
    /// What watches the services: `otelcol`, `jaeger`, `prometheus`; empty where nothing was asked to.
    #[serde(default)]
    pub observers: Vec<ServerState>,
    /// The services; empty before the first start.
    pub services: Vec<ServiceState>,
}

/// What is known of one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerState {
    /// `postgres`, `mongodb`, `nats`, …
    pub name: String,
    /// Its process, while it runs.
    pub pid: Option<u32>,
    /// When that process started.
    pub started: Option<String>,
    /// Where it listens on the loopback address.
    pub port: u16,
    /// How often it was started again.
    pub restarts: u64,
}

/// What is known of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceState {
    /// Which one.
    pub name: Service,
    /// Its process, while it runs.
    pub pid: Option<u32>,
    /// When that process started, as the system puts it: a pid alone may be somebody else's by now.
    pub started: Option<String>,
    /// What it says of its version; `None` before it was ready for the first time.
    pub version: Option<String>,
    /// Whether it takes requests.
    pub ready: bool,
    /// How often it was started again.
    pub restarts: u64,
    /// Where it listens.
    #[serde(flatten)]
    pub addresses: Addresses,
}

/// The base URLs of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// The public HTTP interface.
    pub http: String,
    /// gRPC.
    pub grpc: String,
    /// Health, metrics, version.
    pub admin: String,
}

impl State {
    /// One service.
    pub fn service(&self, name: Service) -> Option<&ServiceState> {
        self.services.iter().find(|service| service.name == name)
    }

    pub(crate) fn service_mut(&mut self, name: Service) -> Option<&mut ServiceState> {
        self.services.iter_mut().find(|service| service.name == name)
    }

    /// Where a server listens, if the services run on it.
    pub(crate) fn server_port(&self, server: Server) -> Option<u16> {
        self.servers.iter().find(|state| state.name == server.slug()).map(|state| state.port)
    }

    /// Where something listens that watches the services, if it was asked to.
    pub(crate) fn observer_port(&self, name: &str) -> Option<u16> {
        self.observers.iter().find(|state| state.name == name).map(|state| state.port)
    }

    /// Whether all services take requests.
    pub fn is_ready(&self) -> bool {
        !self.services.is_empty() && self.services.iter().all(|service| service.ready)
    }
}

impl ServiceState {
    pub(crate) fn new(name: Service, addresses: Addresses) -> Self {
        Self { name, pid: None, started: None, version: None, ready: false, restarts: 0, addresses }
    }
}

impl Addresses {
    pub(crate) fn local([http, grpc, admin]: [u16; 3]) -> Self {
        let url = |port| format!("http://127.0.0.1:{port}");
        Self { http: url(http), grpc: url(grpc), admin: url(admin) }
    }

    /// The ports of [`Addresses::local`].
    pub(crate) fn ports(&self) -> Option<[u16; 3]> {
        let port = |url: &str| url.rsplit(':').next()?.parse().ok();
        Some([port(&self.http)?, port(&self.grpc)?, port(&self.admin)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_back() {
        assert_eq!(Addresses::local([1, 2, 3]).ports(), Some([1, 2, 3]));
        let odd = Addresses { http: "http://localhost".into(), ..Addresses::local([1, 2, 3]) };
        assert_eq!(odd.ports(), None);
    }

    #[test]
    fn the_file_has_what_scripts_read() {
        let addresses = Addresses::local([1, 2, 3]);
        let state = State { services: vec![ServiceState::new(Service::User, addresses)], ..State::default() };
        let value = serde_json::to_value(&state).unwrap();
        assert_eq!(value["services"][0]["name"], "user");
        assert_eq!(value["services"][0]["http"], "http://127.0.0.1:1");
        assert_eq!(serde_json::from_value::<State>(value).unwrap(), state);
    }
}
