//! From a URL to servers and settings.

use percent_encoding::percent_decode_str;
use redis_rs::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisConnectionInfo};

use crate::Error;

const KNOWN: &str = "pool, idle, retries, prefix";

/// What the URL says.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) servers: Vec<ConnectionInfo>,
    pub(crate) cluster: bool,
    pub(crate) pool: usize,
    pub(crate) idle: usize,
    pub(crate) retries: u32,
    pub(crate) prefix: String,
}

impl std::fmt::Debug for Address {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let servers: Vec<String> = self.servers.iter().map(|server| server.addr().to_string()).collect();
        f.debug_struct("Address").field("servers", &servers).finish_non_exhaustive()
    }
}

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let wrong = || Error::Address("write redis://HOST:6379 or redis+cluster://HOST:6379,HOST:6379".to_owned());
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, place) = place.rsplit_once('@').map_or((None, place), |(login, place)| (Some(login), place));
        let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
        let database: i64 = if database.is_empty() { 0 } else { database.parse().map_err(|_| wrong())? };
        let cluster = scheme.ends_with("+cluster");
        if cluster && database != 0 || !cluster && hosts.contains(',') {
            return Err(wrong());
        }
        let tls = scheme.starts_with("rediss");
        let settings = settings(login, database);
        let server = |host: &str| {
            let (host, port) = host.rsplit_once(':').unwrap_or((host, "6379"));
            let port = port.parse().ok().filter(|_| !host.is_empty())?;
            let host = host.trim_matches(['[', ']']).to_owned();
            let address = if tls {
                ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
            } else {
                ConnectionAddr::Tcp(host, port)
            };
            Some(address.into_connection_info().ok()?.set_redis_settings(settings.clone()))
        };
        let servers = hosts.split(',').map(server).collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
        let mut address = Self { servers, cluster, pool: 100, idle: 10, retries: 3, prefix: "trireme".to_owned() };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            address.set(name, value)?;
        }
        Ok(address)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let number = |least: usize, most: usize| {
            let number = value.parse().ok().filter(|number| (least..=most).contains(number));
            number.ok_or_else(|| Error::Address(format!("{name} is a number from {least} to {most}")))
        };
        match name {
            "pool" => self.pool = number(1, 10_000)?,
            "idle" => self.idle = number(0, 10_000)?,
            "retries" => self.retries = u32::try_from(number(0, 16)?).unwrap_or_default(),
            "prefix" if is_name(value) => value.clone_into(&mut self.prefix),
            "prefix" => return Err(Error::Address("prefix may hold letters, digits, - and _".to_owned())),
            _ => return Err(Error::Address(format!("unknown parameter `{name}`; known are {KNOWN}"))),
        }
        Ok(())
    }
}

fn is_name(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn settings(login: Option<&str>, database: i64) -> RedisConnectionInfo {
    let text = |encoded: &str| percent_decode_str(encoded).decode_utf8_lossy().into_owned();
    let mut settings = RedisConnectionInfo::default().set_db(database);
    if let Some(login) = login {
        let (user, password) = login.split_once(':').unwrap_or(("", login));
        settings = settings.set_password(text(password));
        if !user.is_empty() {
            settings = settings.set_username(text(user));
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_url_says_is_read() {
        let address = Address::parse("rediss+cluster://u:p%40ss@a:7000,b?pool=5&idle=1&retries=0&prefix=shop").unwrap();
        let servers: Vec<String> = address.servers.iter().map(|server| server.addr().to_string()).collect();
        assert_eq!(servers, ["a:7000", "b:6379"]);
        assert!(address.cluster);
        assert_eq!((address.pool, address.idle, address.retries, address.prefix.as_str()), (5, 1, 0, "shop"));
        assert_eq!(address.servers[0].redis_settings().password(), Some("p@ss"));
        assert!(!format!("{address:?}").contains("p@ss"));
        let plain = Address::parse("redis://localhost/3").unwrap();
        assert_eq!((plain.cluster, plain.pool, plain.idle, plain.retries), (false, 100, 10, 3));
        assert_eq!(plain.servers[0].redis_settings().db(), 3);
    }

    #[test]
    fn a_wrong_url_says_what_to_write_and_no_secret() {
        for (url, said) in [
            ("redis://u:secret@h:99999", "write redis://HOST:6379"),
            ("redis://u:secret@a,b", "redis+cluster://"),
            ("redis+cluster://u:secret@a/1", "redis+cluster://"),
            ("redis://", "write redis://"),
            ("redis://h?pool=0", "pool is a number from 1 to 10000"),
            ("redis://h?prefix=a:b", "prefix may hold"),
            ("redis://h?db=1", "unknown parameter `db`; known are pool, idle"),
        ] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("secret"), "{url}: {error}");
        }
    }
}
