//! The environment in which a service's binary runs: its ports, its data, its secrets, and where the others are.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use servers::Server;

use crate::{
    data::Data,
    service::Service,
    state::{COLLECTOR, State},
};

/// What `trireme trace` finds: 4 MiB in each service.
const RECENT_SPANS: usize = 4096;

/// What only user knows: in the environment of `trireme up`, it is not for the others, which would refuse it.
const OF_USER: [&str; 3] = ["TRIREME_MAIL__URL", "TRIREME_MAIL__FROM", "TRIREME_MAIL__NOTIFICATIONS"];

/// The variables that a service's binary does not inherit.
pub(crate) fn not_inherited(service: Service) -> &'static [&'static str] {
    if service == Service::User { &[] } else { &OF_USER }
}

/// The environment variables of a service's binary: its data is in the data directory, and it finds the others.
///
/// # Errors
///
/// The state has no addresses yet.
pub(crate) fn environment(service: Service, data: &Data, state: &State) -> Result<Vec<(&'static str, String)>> {
    let addresses = |name| Some(&state.service(name)?.addresses);
    let (user, order, payment) = Option::zip(addresses(Service::User), addresses(Service::Order))
        .zip(addresses(Service::Payment))
        .map(|((user, order), payment)| (user, order, payment))
        .context("no ports were picked yet: run `trireme up` first")?;
    let own = [user, order, payment][service as usize].ports().context("the state file has an odd address")?;
    let file = |path: PathBuf| path.display().to_string();
    let mut all = vec![
        ("TRIREME_DATABASE__URL", data.database(state, service)?),
        ("TRIREME_BUS__URL", data.bus(state)?),
        ("TRIREME_SERVICE__CREDENTIAL_FILE", file(data.credential())),
        ("TRIREME_TELEMETRY__RECENT_SPANS", RECENT_SPANS.to_string()),
    ];
    if let Some(port) = state.observer_port(COLLECTOR) {
        all.push(("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{port}")));
        // Prometheus reads the admin ports.
        all.push(("OTEL_METRICS_EXPORTER", "none".to_owned()));
    }
    let keys = ["TRIREME_HTTP__PORT", "TRIREME_GRPC__PORT", "TRIREME_ADMIN__PORT"];
    all.extend(keys.into_iter().zip(own).map(|(key, port)| (key, port.to_string())));
    let hosts = ["TRIREME_HTTP__HOST", "TRIREME_GRPC__HOST", "TRIREME_ADMIN__HOST"];
    all.extend(hosts.map(|key| (key, "127.0.0.1".to_owned())));
    if let Some(url) = data.redis(state)? {
        all.extend((service != Service::Payment).then(|| ("TRIREME_CACHE__URL", url.clone())));
        all.extend((service != Service::User).then_some(("TRIREME_LOCK__URL", url)));
    }
    match service {
        Service::User => all.push(("TRIREME_ORDER__URL", order.http.clone())),
        Service::Order => {
            all.push(("TRIREME_AUTH__JWKS_URL", format!("{}/.well-known/jwks.json", user.http)));
            all.push(("TRIREME_PAYMENT__URL", payment.grpc.clone()));
            all.push(("TRIREME_USER__URL", user.grpc.clone()));
            all.push(("TRIREME_GRAPHQL__INTROSPECTION", "true".to_owned()));
            let search = state.server_port(Server::OpenSearch).map(|port| Server::OpenSearch.url(port, None));
            all.extend(search.map(|url| ("TRIREME_SEARCH__URL", url)));
        }
        Service::Payment => {
            all.push(("TRIREME_PROVIDER__URL", format!("sandbox://{}", data.join("provider.db").display())));
            all.push(("TRIREME_WEBHOOK__SECRET_FILE", file(data.webhook())));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Addresses, ServerState, ServiceState};

    #[test]
    fn each_service_finds_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let data = Data::create(folder.path()).unwrap();
        let mut state = State::default();
        assert!(environment(Service::User, &data, &state).unwrap_err().to_string().contains("trireme up"));
        for (number, name) in (1..).zip(Service::ALL) {
            let ports = [number * 10, number * 10 + 1, number * 10 + 2];
            state.services.push(ServiceState::new(name, Addresses::local(ports)));
        }
        let value = |service: Service, key: &str| {
            let all = environment(service, &data, &state).unwrap();
            all.into_iter().find(|(name, _)| *name == key).map(|(_, value)| value)
        };
        assert_eq!(value(Service::User, "TRIREME_ORDER__URL").unwrap(), "http://127.0.0.1:20");
        assert_eq!(value(Service::Order, "TRIREME_PAYMENT__URL").unwrap(), "http://127.0.0.1:31");
        assert_eq!(value(Service::Order, "TRIREME_ADMIN__PORT").unwrap(), "22");
        assert!(value(Service::Order, "TRIREME_AUTH__JWKS_URL").unwrap().starts_with("http://127.0.0.1:10/"));
        assert!(value(Service::Payment, "TRIREME_DATABASE__URL").unwrap().ends_with("/payment.db"));
        assert_eq!(value(Service::User, "TRIREME_PROVIDER__URL"), None);
        assert_eq!(value(Service::User, "OTEL_EXPORTER_OTLP_ENDPOINT"), None);
        let collector = ServerState { name: "otelcol".into(), pid: None, started: None, port: 4317, restarts: 0 };
        let watched = State { observers: vec![collector], ..state.clone() };
        let all = environment(Service::User, &data, &watched).unwrap();
        assert!(all.contains(&("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317".to_owned())));
    }
}
