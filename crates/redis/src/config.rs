//! What a URL says: servers, credentials, parameters.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use redis_rs::{
    ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisConnectionInfo,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};

use crate::Error;

/// After so long without a word, or with one that is not acknowledged, the system asks whether the other end is there.
const KEEPALIVE: Duration = Duration::from_secs(5);
const PARAMETERS: &str = "pool, idle, retries, prefix";

/// Where Redis is, and how it is used.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) servers: Vec<ConnectionInfo>,
    pub(crate) cluster: bool,
    pub(crate) pool: usize,
    pub(crate) idle: usize,
    pub(crate) retries: u32,
    pub(crate) prefix: String,
}

impl std::fmt::Debug for Config {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let servers: Vec<String> = self.servers.iter().map(|server| server.addr().to_string()).collect();
        f.debug_struct("Config").field("servers", &servers).finish_non_exhaustive()
    }
}

impl Config {
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let malformed =
            || Error::InvalidUrl("write redis://HOST:6379 or redis+cluster://HOST:6379,HOST:6379".to_owned());
        let (scheme, rest) = url.split_once("://").ok_or_else(malformed)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (user_info, rest) = rest.rsplit_once('@').map_or((None, rest), |(user_info, rest)| (Some(user_info), rest));
        let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
        let database: i64 = if database.is_empty() { 0 } else { database.parse().map_err(|_| malformed())? };
        let cluster = scheme.ends_with("+cluster");
        if cluster && database != 0 || !cluster && hosts.contains(',') {
            return Err(malformed());
        }
        let tls = scheme.starts_with("rediss");
        let settings = connection_settings(user_info, database);
        let server = |host: &str| {
            let (host, port) = host.rsplit_once(':').unwrap_or((host, "6379"));
            let port = port.parse().ok().filter(|_| !host.is_empty())?;
            let host = host.trim_matches(['[', ']']).to_owned();
            let address = if tls {
                ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
            } else {
                ConnectionAddr::Tcp(host, port)
            };
            let server = address.into_connection_info().ok()?;
            Some(server.set_redis_settings(settings.clone()).set_tcp_settings(tcp_settings()))
        };
        let servers = hosts.split(',').map(server).collect::<Option<Vec<_>>>().ok_or_else(malformed)?;
        let mut config = Self { servers, cluster, pool: 100, idle: 10, retries: 3, prefix: "trireme".to_owned() };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            config.set(name, value)?;
        }
        Ok(config)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let number = |min: usize, max: usize| {
            let number = value.parse().ok().filter(|number| (min..=max).contains(number));
            number.ok_or_else(|| Error::InvalidUrl(format!("{name} is a number from {min} to {max}")))
        };
        match name {
            "pool" => self.pool = number(1, 10_000)?,
            "idle" => self.idle = number(0, 10_000)?,
            "retries" => self.retries = u32::try_from(number(0, 16)?).unwrap_or_default(),
            "prefix" if is_valid_prefix(value) => value.clone_into(&mut self.prefix),
            "prefix" => return Err(Error::InvalidUrl("prefix may hold letters, digits, - and _".to_owned())),
            _ => return Err(Error::InvalidUrl(format!("unknown parameter `{name}`; known are {PARAMETERS}"))),
        }
        Ok(())
    }
}

fn is_valid_prefix(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Has the system end a connection whose peer is gone within 15 s, also one that nobody uses.
pub(crate) fn tcp_settings() -> TcpSettings {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE).with_retries(2);
    let settings = TcpSettings::default().set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(KEEPALIVE * 3);
    settings
}

fn connection_settings(user_info: Option<&str>, database: i64) -> RedisConnectionInfo {
    let decoded = |encoded: &str| percent_decode_str(encoded).decode_utf8_lossy().into_owned();
    let mut settings = RedisConnectionInfo::default().set_db(database);
    if let Some(user_info) = user_info {
        let (user, password) = user_info.split_once(':').unwrap_or(("", user_info));
        settings = settings.set_password(decoded(password));
        if !user.is_empty() {
            settings = settings.set_username(decoded(user));
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_url_says_is_read() {
        let config = Config::parse("rediss+cluster://u:p%40ss@a:7000,b?pool=5&idle=1&retries=0&prefix=shop").unwrap();
        let servers: Vec<String> = config.servers.iter().map(|server| server.addr().to_string()).collect();
        assert_eq!(servers, ["a:7000", "b:6379"]);
        assert!(config.cluster);
        assert_eq!((config.pool, config.idle, config.retries, config.prefix.as_str()), (5, 1, 0, "shop"));
        assert_eq!(config.servers[0].redis_settings().password(), Some("p@ss"));
        assert!(!format!("{config:?}").contains("p@ss"));
        let plain = Config::parse("redis://localhost/3").unwrap();
        assert_eq!((plain.cluster, plain.pool, plain.idle, plain.retries), (false, 100, 10, 3));
        assert_eq!(plain.servers[0].redis_settings().db(), 3);
    }

    #[test]
    fn a_wrong_url_says_what_to_write_and_no_secret() {
        for (url, expected) in [
            ("redis://u:secret@h:99999", "write redis://HOST:6379"),
            ("redis://u:secret@a,b", "redis+cluster://"),
            ("redis+cluster://u:secret@a/1", "redis+cluster://"),
            ("redis://", "write redis://"),
            ("redis://h?pool=0", "pool is a number from 1 to 10000"),
            ("redis://h?prefix=a:b", "prefix may hold"),
            ("redis://h?db=1", "unknown parameter `db`; known are pool, idle"),
        ] {
            let error = Config::parse(url).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("secret"), "{url}: {error}");
        }
    }
}
