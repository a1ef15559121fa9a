//! From the bus' URL to what it says.

use std::{fmt, path::PathBuf, time::Duration};

use lapin::uri::AMQPUri;
use messaging::Error;
use percent_encoding::percent_decode_str;

use crate::names::Names;

/// How long events are kept where the URL does not say: shorter than inboxes remember.
const MAX_AGE: Duration = Duration::from_hours(7 * 24);
/// Partitions of the keys where the URL does not say, and at most.
const PARTITIONS: (u16, u16) = (16, 64);
/// Seconds; a server that says nothing for twice as long is gone.
const HEARTBEAT: u16 = 5;

/// What streams and queues are declared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Of the keys: as many members of a group work at the same time at most.
    pub(crate) partitions: u16,
    /// Copies of each stream and queue.
    pub(crate) replicas: u16,
    /// How long events are kept.
    pub(crate) max_age: Duration,
    /// Bytes of each partition; what is oldest goes first.
    pub(crate) max_bytes: Option<u64>,
}

/// What the URL says.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) names: Names,
    pub(crate) limits: Limits,
    /// Each server, with the login. Never shown.
    pub(crate) servers: Vec<AMQPUri>,
    pub(crate) authority: Option<PathBuf>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("names", &self.names).field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Options {
    /// Reads `amqp://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…][/VHOST][?NAME=VALUE&…]`; `amqps://` is TLS.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let mut options = Self {
            names: Names::new("trireme")?,
            limits: Limits { partitions: PARTITIONS.0, replicas: 1, max_age: MAX_AGE, max_bytes: None },
            servers: servers(address)?,
            authority: None,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8();
            let value = value.map_err(|_| Error::Address(format!("{name} is no text")))?;
            options.set(name, &value)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        match name {
            "prefix" => self.names = Names::new(value)?,
            "partitions" => self.limits.partitions = number(name, value, PARTITIONS.1)?,
            "replicas" => self.limits.replicas = number(name, value, 9)?,
            "max_bytes" => self.limits.max_bytes = Some(number(name, value, i64::MAX.unsigned_abs())?),
            "max_age" => {
                let age = duration(value);
                self.limits.max_age =
                    age.ok_or_else(|| Error::Address("max_age is written 7d, 12h, 90m or 30s".to_owned()))?;
            }
            "ca" => self.authority = Some(PathBuf::from(value)),
            _ => {
                let known = "prefix, partitions, replicas, max_age, max_bytes, ca";
                return Err(Error::Address(format!("unknown parameter `{name}`; known are {known}")));
            }
        }
        Ok(())
    }
}

/// One address for each of the servers that stand in one, with the login of all.
fn servers(address: &str) -> Result<Vec<AMQPUri>, Error> {
    // The text may hold a password.
    let wrong = || Error::Address("write amqp://HOST:5672 or amqps://HOST:5671".to_owned());
    let (scheme, rest) = address.split_once("://").ok_or_else(wrong)?;
    let (login, rest) = rest.rsplit_once('@').map_or(("", rest), |(login, rest)| (login, rest));
    let (hosts, vhost) = rest.split_once('/').unwrap_or((rest, ""));
    let login = if login.is_empty() { String::new() } else { format!("{login}@") };
    let vhost = if vhost.is_empty() { "%2f" } else { vhost };
    let server = |host: &str| {
        let mut uri: AMQPUri = format!("{scheme}://{login}{host}/{vhost}").parse().map_err(|_| wrong())?;
        uri.query.heartbeat = Some(HEARTBEAT);
        if host.is_empty() || uri.authority.port == 0 { Err(wrong()) } else { Ok(uri) }
    };
    hosts.split(',').map(server).collect()
}

fn number<N>(name: &str, value: &str, most: N) -> Result<N, Error>
where
    N: Copy + std::str::FromStr + PartialOrd + From<u8> + fmt::Display,
{
    let number = value.parse().ok().filter(|number| *number >= N::from(1) && *number <= most);
    number.ok_or_else(|| Error::Address(format!("{name} is a number from 1 to {most}")))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_share_login_and_virtual_host() {
        let options = Options::parse("amqps://us%40er:p%3Aw@a:5671,b/shop?prefix=shop&ca=/etc/ca.pem").unwrap();
        let of = |uri: &AMQPUri| (uri.authority.host.clone(), uri.authority.port, uri.vhost.clone());
        let servers: Vec<_> = options.servers.iter().map(of).collect();
        assert_eq!(servers, [("a".to_owned(), 5671, "shop".to_owned()), ("b".to_owned(), 5671, "shop".to_owned())]);
        let login = &options.servers[1].authority.userinfo;
        assert_eq!((login.username.as_str(), login.password.as_str()), ("us@er", "p:w"));
        assert_eq!(options.names.events(3), "shop.events.3");
        assert_eq!(Options::parse("amqp://h").unwrap().servers[0].vhost, "/");
    }

    #[test]
    fn limits_are_read() {
        let url = "amqp://h:5672?partitions=4&replicas=3&max_age=36h&max_bytes=1000000";
        let limits =
            Limits { partitions: 4, replicas: 3, max_age: Duration::from_hours(36), max_bytes: Some(1_000_000) };
        assert_eq!(Options::parse(url).unwrap().limits, limits);
    }

    #[test]
    fn a_wrong_url_says_what_to_write_and_no_secret() {
        for (url, said) in [
            ("amqp://h?replica=3", "unknown parameter `replica`; known are prefix, partitions"),
            ("amqp://h?partitions=0", "partitions is a number from 1 to 64"),
            ("amqp://h?max_age=7", "max_age is written 7d"),
            ("amqp://h?prefix=a.b", "prefix may hold"),
            ("amqp://u:secret@h:99999", "write amqp://HOST:5672"),
            ("amqp://u:secret@", "write amqp://HOST:5672"),
        ] {
            let error = Options::parse(url).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("secret"), "{url}: {error}");
        }
        let shown = format!("{:?}", Options::parse("amqp://u:secret@h").unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}
