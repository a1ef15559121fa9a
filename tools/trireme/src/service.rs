//! The three services: their names, binaries and environments.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anstyle::AnsiColor;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{data::Data, state::State};

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Accounts.
    User,
    /// Products, stock, orders.
    Order,
    /// Payments.
    Payment,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::User, Self::Order, Self::Payment];

    /// Its name, which is its binary's too.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Order => "order",
            Self::Payment => "payment",
        }
    }

    pub(crate) fn colour(self) -> AnsiColor {
        match self {
            Self::User => AnsiColor::Cyan,
            Self::Order => AnsiColor::Magenta,
            Self::Payment => AnsiColor::Yellow,
        }
    }

    /// What its binary is told: everything it keeps is in the data directory, and it finds the others.
    ///
    /// # Errors
    ///
    /// The state has no addresses yet.
    pub(crate) fn environment(self, data: &Data, state: &State) -> Result<Vec<(&'static str, String)>> {
        let addresses = |name| Some(&state.service(name)?.addresses);
        let (user, order, payment) = Option::zip(addresses(Self::User), addresses(Self::Order))
            .zip(addresses(Self::Payment))
            .map(|((user, order), payment)| (user, order, payment))
            .context("no ports were picked yet: run `trireme up` first")?;
        let own = [user, order, payment][self as usize].ports().context("the state file has an odd address")?;
        let file = |path: PathBuf| path.display().to_string();
        let mut all = vec![
            ("TRIREME_DATABASE__URL", data.database(state, self)?),
            ("TRIREME_BUS__URL", data.bus(state)?),
            ("TRIREME_SERVICE__CREDENTIAL_FILE", file(data.credential())),
        ];
        let keys = ["TRIREME_HTTP__PORT", "TRIREME_GRPC__PORT", "TRIREME_ADMIN__PORT"];
        all.extend(keys.into_iter().zip(own).map(|(key, port)| (key, port.to_string())));
        let hosts = ["TRIREME_HTTP__HOST", "TRIREME_GRPC__HOST", "TRIREME_ADMIN__HOST"];
        all.extend(hosts.map(|key| (key, "127.0.0.1".to_owned())));
        if let Some(url) = data.redis(state)? {
            all.extend((self != Self::Payment).then(|| ("TRIREME_CACHE__URL", url.clone())));
            all.extend((self != Self::User).then_some(("TRIREME_LOCK__URL", url)));
        }
        match self {
            Self::User => all.push(("TRIREME_ORDER__URL", order.http.clone())),
            Self::Order => {
                all.push(("TRIREME_AUTH__JWKS_URL", format!("{}/.well-known/jwks.json", user.http)));
                all.push(("TRIREME_PAYMENT__URL", payment.grpc.clone()));
            }
            Self::Payment => {
                all.push(("TRIREME_PROVIDER__URL", format!("sandbox://{}", data.join("provider.db").display())));
                all.push(("TRIREME_WEBHOOK__SECRET_FILE", file(data.webhook())));
            }
        }
        Ok(all)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The folder with the services' binaries: the one that the running binary is in, or a test's parent folder.
///
/// # Errors
///
/// They are not there.
pub fn binaries() -> Result<PathBuf> {
    let here = std::env::current_exe().context("cannot find the own binary")?;
    let complete = |folder: &&Path| Service::ALL.iter().all(|service| folder.join(service.name()).is_file());
    let folder = here.ancestors().skip(1).take(2).find(complete);
    let folder = folder.with_context(|| {
        let folder = here.parent().unwrap_or(&here).display();
        format!("user, order and payment are not in {folder}: build them with `cargo build --workspace --bins`")
    })?;
    Ok(folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Addresses, ServiceState};

    #[test]
    fn each_service_finds_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let data = Data::create(folder.path()).unwrap();
        let mut state = State::default();
        assert!(Service::User.environment(&data, &state).unwrap_err().to_string().contains("trireme up"));
        for (number, name) in (1..).zip(Service::ALL) {
            let ports = [number * 10, number * 10 + 1, number * 10 + 2];
            state.services.push(ServiceState::new(name, Addresses::local(ports)));
        }
        let value = |service: Service, key: &str| {
            let all = service.environment(&data, &state).unwrap();
            all.into_iter().find(|(name, _)| *name == key).map(|(_, value)| value)
        };
        assert_eq!(value(Service::User, "TRIREME_ORDER__URL").unwrap(), "http://127.0.0.1:20");
        assert_eq!(value(Service::Order, "TRIREME_PAYMENT__URL").unwrap(), "http://127.0.0.1:31");
        assert_eq!(value(Service::Order, "TRIREME_ADMIN__PORT").unwrap(), "22");
        assert!(value(Service::Order, "TRIREME_AUTH__JWKS_URL").unwrap().starts_with("http://127.0.0.1:10/"));
        assert!(value(Service::Payment, "TRIREME_DATABASE__URL").unwrap().ends_with("/payment.db"));
        assert_eq!(value(Service::User, "TRIREME_PROVIDER__URL"), None);
    }
}
