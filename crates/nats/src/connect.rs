//! From the bus' URL to a connection.

use std::{fmt, io, path::PathBuf, time::Duration};

use async_nats::{Client, ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;
use resilience::Backoff;

use async_nats::jetstream::stream::Placement;
use messaging::Error;

use super::{
    names::Names,
    streams::{Limits, MAX_AGE},
    trouble::Trouble,
};

/// Commands that may wait while the connection is made anew; more than that wait at their callers.
const BUFFERED: usize = 1_024;
/// Messages of one subscription that may wait for us.
const RECEIVED: usize = 4_096;
/// The pauses between tries to connect.
const PAUSE: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
/// How long a try to connect may take, and how often a silent connection is tried.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What the URL says.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) names: Names,
    pub(crate) limits: Limits,
    /// Without a login: the client logs addresses.
    servers: Vec<ServerAddr>,
    login: Option<Login>,
    credentials: Option<PathBuf>,
    authority: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Options {
    /// Reads `nats://[USER:PASSWORD@|TOKEN@]HOST:PORT[,HOST:PORT…][?NAME=VALUE&…]`; `tls://` insists on TLS.
    ///
    /// How to log in: `credentials=FILE`, `ca=FILE`, `cert=FILE&key=FILE`. What streams are called: `prefix`. What they are
    /// declared with: `replicas`, `max_bytes` (of each stream), `max_age` (of events: `7d`, `12h`, `90m`, `30s`), `cluster`
    /// and `tags=A,B` (where they are placed).
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let servers = address.split(',').map(str::parse).collect::<Result<Vec<ServerAddr>, _>>();
        // The text may hold a password.
        let wrong = |_| Error::Address("write nats://HOST:4222 or tls://HOST:4222".to_owned());
        let servers = servers.map_err(wrong)?;
        let login = servers.iter().find_map(Login::of);
        let servers = servers.into_iter().map(without_login).collect::<Result<_, _>>().map_err(wrong)?;
        let mut options = Self {
            names: Names::new("trireme")?,
            limits: Limits { replicas: 1, max_bytes: None, max_age: MAX_AGE, placement: None },
            servers,
            login,
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
                self.limits.replicas = number.ok_or_else(|| Error::Address("replicas is 1, 3 or 5".to_owned()))?;
            }
            "max_bytes" => {
                let number = value.parse().ok().filter(|number| *number > 0);
                let number = number.ok_or_else(|| Error::Address("max_bytes is a number of bytes".to_owned()))?;
                self.limits.max_bytes = Some(number);
            }
            "max_age" => {
                let age = duration(value)
                    .ok_or_else(|| Error::Address("max_age is written 7d, 12h, 90m or 30s".to_owned()))?;
                self.limits.max_age = age;
            }
            "cluster" => self.placement().cluster = Some(value.to_owned()),
            "tags" => self.placement().tags = value.split(',').map(str::to_owned).collect(),
            "credentials" => self.credentials = file(),
            "ca" => self.authority = file(),
            "cert" => self.certificate = file(),
            "key" => self.key = file(),
            _ => {
                let known = "prefix, replicas, max_bytes, max_age, cluster, tags, credentials, ca, cert, key";
                return Err(Error::Address(format!("unknown parameter `{name}`; known are {known}")));
            }
        }
        Ok(())
    }

    fn placement(&mut self) -> &mut Placement {
        self.limits.placement.get_or_insert_default()
    }

    /// Connects in the background, now and whenever the connection is lost: a service starts without its bus.
    pub(crate) async fn connect(&self) -> Result<(Client, Trouble), Error> {
        let trouble = Trouble::default();
        let noted = trouble.clone();
        let mut options = ConnectOptions::new()
            .name("trireme")
            .retry_on_initial_connect()
            .client_capacity(BUFFERED)
            .subscription_capacity(RECEIVED)
            .connection_timeout(TIMEOUT)
            .ping_interval(TIMEOUT)
            .request_timeout(Some(TIMEOUT))
            .reconnect_delay_callback(|attempt| PAUSE.delay(u32::try_from(attempt).unwrap_or(u32::MAX)))
            .event_callback(move |event| {
                noted.note(&event);
                async move { tracing::info!(%event, "NATS") }
            });
        if let Some(Login { user, password }) = self.login.clone() {
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
        let client = options.connect(&self.servers[..]).await.map_err(Error::bus)?;
        Ok((client, trouble))
    }
}

/// A number of seconds, minutes, hours or days, not 0.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let number: u64 = text.strip_suffix(unit)?.parse().ok().filter(|number| *number > 0)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// User and password, or a token.
#[derive(Clone, PartialEq, Eq)]
struct Login {
    user: String,
    password: Option<String>,
}

impl Login {
    /// That of an address.
    fn of(server: &ServerAddr) -> Option<Self> {
        let text = |encoded: &str| percent_decode_str(encoded).decode_utf8_lossy().into_owned();
        Some(Self { user: text(server.username()?), password: server.password().map(text) })
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

fn without_login(server: ServerAddr) -> io::Result<ServerAddr> {
    let mut url = server.into_inner();
    // An address without a host has no login either.
    let _ = (url.set_password(None), url.set_username(""));
    ServerAddr::from_url(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_connects_is_read_from_the_address() {
        let login_of = |url| Options::parse(url).unwrap().login.map(|login| (login.user, login.password));
        assert_eq!(login_of("nats://u:p%40ss@h:4222"), Some(("u".to_owned(), Some("p@ss".to_owned()))));
        assert_eq!(login_of("nats://token@h:4222"), Some(("token".to_owned(), None)));
        assert_eq!(login_of("nats://h:4222"), None);
    }

    /// The client logs them at level debug.
    #[test]
    fn addresses_have_no_password() {
        let options = Options::parse("nats://u:secret@a:4222,nats://secret@b:4222,nats://c:4222").unwrap();
        let shown = format!("{options:?}");
        assert!(
            !shown.contains("secret") && ["\"a\"", "\"b\"", "\"c\""].iter().all(|host| shown.contains(host)),
            "{shown}"
        );
    }

    #[test]
    fn what_the_url_says_is_read() {
        let options =
            Options::parse("nats://a:4222,b:4222?prefix=shop&replicas=3&credentials=/run/nats.creds").unwrap();
        assert_eq!((options.servers.len(), options.limits.replicas), (2, 3));
        assert_eq!(options.names.events(), "shop-events");
        assert_eq!(options.credentials.as_deref(), Some(std::path::Path::new("/run/nats.creds")));
    }

    #[test]
    fn what_streams_are_declared_with_is_read() {
        let url = "nats://h:4222?max_bytes=1048576&max_age=36h&cluster=east&tags=ssd,eu";
        let limits = Options::parse(url).unwrap().limits;
        let placement = Placement { cluster: Some("east".to_owned()), tags: vec!["ssd".to_owned(), "eu".to_owned()] };
        let max_age = Duration::from_hours(36);
        assert_eq!(limits, Limits { replicas: 1, max_bytes: Some(1_048_576), max_age, placement: Some(placement) });
    }

    #[test]
    fn a_wrong_url_says_what_to_write_and_no_secret() {
        for (url, said) in [
            ("nats://h:4222?replica=3", "unknown parameter `replica`; known are prefix, replicas"),
            ("nats://h:4222?replicas=many", "replicas is 1, 3 or 5"),
            ("nats://h:4222?max_bytes=-1", "max_bytes is a number"),
            ("nats://h:4222?max_age=7", "max_age is written 7d"),
            ("nats://h:4222?max_age=0d", "max_age is written 7d"),
            ("nats://h:4222?prefix=a.b", "prefix may hold"),
            ("nats://u:secret@h:99999", "write nats://HOST:4222"),
        ] {
            let error = Options::parse(url).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("secret"), "{error}");
        }
    }
}
