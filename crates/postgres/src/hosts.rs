//! Several servers of which one takes writes, named as libpq names them: `postgres://a:5432,b:5432/…` (PostgreSQL's manual,
//! "Specifying Multiple Hosts").

use std::{io, time::Duration};

use sqlx::{Connection as _, PgConnection, PgPool, postgres::PgConnectOptions};
use tokio::time::{sleep, timeout};

use crate::Error;

/// The parameter that says which server is wanted: here it is always the one that takes writes.
const WANTED: &str = "target_session_attrs";
/// How long a connection that was idle may take to answer; the network may have forgotten it.
const CHECK: Duration = Duration::from_secs(1);
/// Also false on a server that follows another.
pub(crate) const WRITABLE: &str = "SELECT current_setting('transaction_read_only') = 'off'";
/// How long one server may take to let us in.
const CONNECT: Duration = Duration::from_secs(2);
/// How often it is asked whether the server still takes writes.
const LOOK: Duration = Duration::from_secs(1);

/// The servers that a URL names, in its order.
#[derive(Clone, Debug)]
pub(crate) struct Hosts(Vec<PgConnectOptions>);

impl Hosts {
    /// Reads a URL.
    ///
    /// # Errors
    /// It is no address of PostgreSQL, or wants a server that takes no writes.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let url = without_wanted(url)?;
        let Some((scheme, rest)) = url.split_once("://") else { return Ok(Self(vec![one(&url)?])) };
        let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        let servers = hosts.split(',').map(|host| one(&format!("{scheme}://{user}{host}{tail}")));
        servers.collect::<Result<_, _>>().map(Self)
    }

    /// The same for each of them.
    pub(crate) fn with(self, each: impl Fn(PgConnectOptions) -> PgConnectOptions) -> Self {
        Self(self.0.into_iter().map(each).collect())
    }

    /// A server to connect to: one that takes writes where there is one, else one that lets us in.
    ///
    /// # Errors
    /// What one of them said, where none lets us in.
    pub(crate) async fn any(&self) -> Result<PgConnectOptions, sqlx::Error> {
        match &self.0[..] {
            [only] => Ok(only.clone()),
            several => self.look().await.map(|found| several[found.host].clone()),
        }
    }

    async fn look(&self) -> Result<Found, sqlx::Error> {
        let mut other = Err(io::Error::from(io::ErrorKind::TimedOut).into());
        for (host, server) in self.0.iter().enumerate() {
            match timeout(CONNECT, Found::at(host, server)).await {
                Ok(Ok(found)) if found.takes_writes => return Ok(found),
                Ok(answer) => other = other.or(answer),
                Err(_) => {}
            }
        }
        other
    }

    /// Leads new connections to the server that takes writes, until the pool is closed. Connections to one that takes none
    /// any more are closed where they are used.
    pub(crate) async fn follow(self, pool: PgPool) {
        // One of its own: a pool that is full says nothing of the server.
        let (mut watched, mut now) = (None::<PgConnection>, None);
        loop {
            tokio::select! {
                () = pool.close_event() => return,
                () = sleep(LOOK) => {}
            }
            if let Some(connection) = &mut watched
                && matches!(is_writable(connection).await, Ok(true))
            {
                continue;
            }
            // Where none takes writes, there is nothing better than what is used.
            watched = match self.look().await {
                Ok(found) if found.takes_writes => {
                    let server = &self.0[found.host];
                    if now.replace(found.host).is_some_and(|before| before != found.host) {
                        let (host, port) = (server.get_host(), server.get_port());
                        tracing::warn!(host, port, "PostgreSQL: this server takes writes now");
                    }
                    pool.set_connect_options(server.clone());
                    Some(found.connection)
                }
                _ => None,
            };
        }
    }

    /// The database, the same on each.
    pub(crate) fn database(&self) -> Option<&str> {
        self.0.first()?.get_database()
    }

    /// Whether there is more than one.
    pub(crate) fn are_several(&self) -> bool {
        self.0.len() > 1
    }
}

/// A server that lets us in.
struct Found {
    host: usize,
    connection: PgConnection,
    takes_writes: bool,
}

impl Found {
    async fn at(host: usize, server: &PgConnectOptions) -> Result<Self, sqlx::Error> {
        let mut connection = PgConnection::connect_with(server).await?;
        let takes_writes = is_writable(&mut connection).await?;
        Ok(Self { host, connection, takes_writes })
    }
}

/// Whether the server of a connection takes writes.
pub(crate) async fn is_writable(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let answer = timeout(CHECK, sqlx::query_scalar(WRITABLE).fetch_one(connection)).await;
    answer.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

fn one(url: &str) -> Result<PgConnectOptions, Error> {
    url.parse().map_err(Error::Url)
}

/// The URL without what says which server is wanted, of which sqlx knows nothing.
fn without_wanted(url: &str) -> Result<String, Error> {
    let Some((address, query)) = url.split_once('?') else { return Ok(url.to_owned()) };
    let wanted = |parameter: &&str| parameter.split_once('=').is_some_and(|(name, _)| name == WANTED);
    let (wanted, others): (Vec<&str>, Vec<&str>) = query.split('&').partition(wanted);
    let values = wanted.iter().filter_map(|parameter| parameter.split_once('='));
    if values.into_iter().all(|(_, value)| matches!(value, "any" | "read-write" | "primary")) {
        Ok(format!("{address}?{}", others.join("&")))
    } else {
        Err(Error::Wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(url: &str) -> Vec<(String, u16, Option<String>)> {
        let Hosts(servers) = Hosts::parse(url).unwrap();
        let of = |server: &PgConnectOptions| {
            (server.get_host().to_owned(), server.get_port(), server.get_database().map(str::to_owned))
        };
        servers.iter().map(of).collect()
    }

    #[test]
    fn each_host_has_its_port_and_the_rest_of_the_url() {
        let order = Some("order".to_owned());
        let url = "postgres://me:p%40ss@a,b:5433/order?target_session_attrs=read-write&sslmode=disable";
        assert_eq!(servers(url), [("a".into(), 5432, order.clone()), ("b".into(), 5433, order.clone())]);
        assert_eq!(servers("postgres://a/order"), [("a".into(), 5432, order.clone())]);
        assert_eq!(servers("postgres://a/order?target_session_attrs=any"), [("a".into(), 5432, order)]);
        assert_eq!(servers("postgres://p,w@[::1]:5433,b?"), [("[::1]".into(), 5433, None), ("b".into(), 5432, None)]);
    }

    #[test]
    fn a_server_that_takes_no_writes_is_of_no_use() {
        for wanted in ["standby", "read-only", "prefer-standby"] {
            let refused = Hosts::parse(&format!("postgres://a,b/order?target_session_attrs={wanted}"));
            assert!(matches!(refused, Err(Error::Wanted)), "{wanted}");
        }
    }
}
