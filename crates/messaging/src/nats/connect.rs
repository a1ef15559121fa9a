//! From the bus' URL to a connection.

use std::{path::PathBuf, time::Duration};

use async_nats::{Client, ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;

use super::names::Names;
use crate::Error;

/// Commands that may wait while the connection is made anew; more than that wait at their callers.
const BUFFERED: usize = 1_024;
/// Messages of one subscription that may wait for us.
const RECEIVED: usize = 4_096;
/// The first and the longest pause between two tries to connect.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How long a try to connect may take, and how often a silent connection is tried.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the URL says.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) names: Names,
    /// Copies of each stream; three need a cluster.
    pub(super) replicas: usize,
    servers: Vec<ServerAddr>,
    credentials: Option<PathBuf>,
    authority: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Options {
    /// Reads `nats://[USER:PASSWORD@|TOKEN@]HOST:PORT[,HOST:PORT…][?prefix=…&replicas=…&credentials=FILE&ca=FILE&cert=FILE&key=FILE]`;
    /// `tls://` insists on TLS.
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let servers = address.split(',').map(str::parse).collect::<Result<Vec<ServerAddr>, _>>();
        // The text may hold a password.
        let servers = servers.map_err(|_| Error::Address("write nats://HOST:4222 or tls://HOST:4222".to_owned()))?;
        let mut options = Self {
            names: Names::new("trireme")?,
            replicas: 1,
            servers,
            credentials: None,
            authority: None,
            certificate: None,
            key: None,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            options.set(name, value)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let file = || Some(PathBuf::from(value));
        match name {
            "prefix" => self.names = Names::new(value)?,
            "replicas" => {
                let number = value.parse().ok().filter(|number| (1..=5).contains(number));
                self.replicas = number.ok_or_else(|| Error::Address("replicas is 1, 3 or 5".to_owned()))?;
            }
            "credentials" => self.credentials = file(),
            "ca" => self.authority = file(),
            "cert" => self.certificate = file(),
            "key" => self.key = file(),
            _ => {
                let known = "prefix, replicas, credentials, ca, cert, key";
                return Err(Error::Address(format!("unknown parameter `{name}`; known are {known}")));
            }
        }
        Ok(())
    }

    /// Connects in the background, now and whenever the connection is lost: a service starts without its bus.
    pub(super) async fn connect(&self) -> Result<Client, Error> {
        let mut options = ConnectOptions::new()
            .name("trireme")
            .retry_on_initial_connect()
            .client_capacity(BUFFERED)
            .subscription_capacity(RECEIVED)
            .connection_timeout(PATIENCE)
            .ping_interval(PATIENCE)
            .request_timeout(Some(PATIENCE))
            .reconnect_delay_callback(|attempt| {
                crate::relay::backoff(u32::try_from(attempt).unwrap_or(u32::MAX), PAUSE.0, PAUSE.1)
            })
            .event_callback(|event| async move { tracing::info!(%event, "NATS") });
        // The client takes no notice of what is in an address.
        if let Some((user, password)) = self.servers.iter().find_map(login) {
            options = match password {
                Some(password) => options.user_and_password(user, password),
                None => options.token(user),
            };
        }
        if let Some(file) = &self.credentials {
            options = options.credentials_file(file).await.map_err(Error::bus)?;
        }
        if let Some(file) = &self.authority {
            options = options.add_root_certificates(file.clone());
        }
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        options.connect(&self.servers[..]).await.map_err(Error::bus)
    }
}

/// User and password, or a token, of an address.
fn login(server: &ServerAddr) -> Option<(String, Option<String>)> {
    let text = |encoded: &str| percent_decode_str(encoded).decode_utf8_lossy().into_owned();
    Some((text(server.username()?), server.password().map(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_connects_is_read_from_the_address() {
        let login_of = |url| login(&Options::parse(url).unwrap().servers[0]);
        assert_eq!(login_of("nats://u:p%40ss@h:4222"), Some(("u".to_owned(), Some("p@ss".to_owned()))));
        assert_eq!(login_of("nats://token@h:4222"), Some(("token".to_owned(), None)));
        assert_eq!(login_of("nats://h:4222"), None);
    }

    #[test]
    fn what_the_url_says_is_read() {
        let options =
            Options::parse("nats://a:4222,b:4222?prefix=shop&replicas=3&credentials=/run/nats.creds").unwrap();
        assert_eq!((options.servers.len(), options.replicas), (2, 3));
        assert_eq!(options.names.events(), "shop-events");
        assert_eq!(options.credentials.as_deref(), Some(std::path::Path::new("/run/nats.creds")));
    }

    #[test]
    fn a_wrong_url_says_what_to_write_and_no_secret() {
        for (url, said) in [
            ("nats://h:4222?replica=3", "unknown parameter `replica`; known are prefix, replicas"),
            ("nats://h:4222?replicas=many", "replicas is 1, 3 or 5"),
            ("nats://h:4222?prefix=a.b", "prefix may hold"),
            ("nats://u:secret@h:99999", "write nats://HOST:4222"),
        ] {
            let error = Options::parse(url).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("secret"), "{error}");
        }
    }
}
