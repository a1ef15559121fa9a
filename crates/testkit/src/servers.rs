//! Real servers for tests: on a free loopback port, in a folder of their own, gone when the test process is.
//!
//! A server is taken from its variable (`TEST_POSTGRES_URL`, `TEST_MONGODB_URL`, `TEST_NATS_URL`, `TEST_REDIS_URL`,
//! `TEST_KAFKA_URL`, `TEST_RABBITMQ_URL`, `TEST_OPENSEARCH_URL`) where that is set, else from an installed program. Where
//! there is none its tests are left out and say so; with `TEST_ALL=1` that is a failure.
#![allow(clippy::expect_used, clippy::panic, reason = "a server that does not start has to fail its tests")]

mod cluster;
mod nats_cluster;
mod own;
mod running;

pub use cluster::RedisCluster;
pub use nats_cluster::NatsCluster;

use std::{
    collections::BTreeSet,
    env,
    fmt::Display,
    io::Write as _,
    path::PathBuf,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use own::Own;
use running::Running;
use servers::{Installed, Server};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

/// A server of one test alone, whichever it is.
pub trait Alone: Send + Sync {
    /// Kills it with SIGKILL and starts it again on the same data and port.
    fn kill_and_restart(&self) -> impl Future<Output = ()> + Send;
    /// Stops it with SIGSTOP.
    fn pause(&self);
    /// Lets it go on.
    fn resume(&self);
    /// Cuts its clients off: ends their connections, and each new one at once.
    fn cut(&self);
    /// Lets them connect again.
    fn restore(&self);
    /// How long it has to have been at work before it can be killed.
    fn settles(&self) -> Duration;
}

/// What is the same for every kind of server.
macro_rules! server {
    ($(#[$doc:meta])* $name:ident, $variable:literal) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(Running);

        impl $name {
            /// The server of this process, started by its first user; `None` where it is not installed.
            pub async fn shared() -> Option<&'static Self> {
                static SHARED: OnceLock<Option<$name>> = OnceLock::new();
                let server = SHARED.get_or_init(Self::find).as_ref()?;
                server.0.wait().await;
                Some(server)
            }

            /// A server of one test alone, which may kill it; `None` where it is not installed, or only somebody
            /// else's runs.
            pub async fn alone() -> Option<Self> {
                let server = Self::find().filter(|server| server.0.own.is_some())?;
                server.0.wait().await;
                Some(server)
            }

            /// A server of one test alone that may cut its clients off as well; `None` where it is not installed.
            pub async fn behind_a_proxy() -> Option<Self> {
                let server = Self(Running::behind_a_proxy(Server::$name).await?);
                server.0.wait().await;
                Some(server)
            }

            fn find() -> Option<Self> {
                Running::find(Server::$name, $variable).map(Self)
            }

            /// The server's address.
            pub fn url(&self) -> &str {
                &self.0.url
            }

            /// Kills the server with SIGKILL and starts it again on the same data and port.
            ///
            /// # Panics
            /// The server is not [`Self::alone`], or does not start again.
            pub async fn kill_and_restart(&self) {
                self.kill();
                self.restart().await;
            }

            /// Kills the server with SIGKILL.
            ///
            /// # Panics
            /// The server is not [`Self::alone`].
            pub fn kill(&self) {
                self.0.own().kill();
            }

            /// Starts the server that was killed again, on the same data and port.
            ///
            /// # Panics
            /// The server is not [`Self::alone`], or does not start again.
            pub async fn restart(&self) {
                self.0.own().run().expect("it starts again");
                self.0.wait().await;
            }

            /// Stops the server with SIGSTOP: connections stay open and nothing answers.
            ///
            /// # Panics
            /// The server is not [`Self::alone`].
            pub fn pause(&self) {
                self.0.own().signal("STOP");
            }

            /// Lets a paused server go on.
            ///
            /// # Panics
            /// The server is not [`Self::alone`].
            pub fn resume(&self) {
                self.0.own().signal("CONT");
            }
        }
    };
}

/// Makes a kind of server one that any test may break.
macro_rules! alone {
    ($name:ident, $settles:expr) => {
        impl Alone for $name {
            async fn kill_and_restart(&self) {
                Self::kill_and_restart(self).await;
            }

            fn pause(&self) {
                Self::pause(self);
            }

            fn resume(&self) {
                Self::resume(self);
            }

            fn cut(&self) {
                self.0.proxy().cut();
            }

            fn restore(&self) {
                self.0.proxy().restore();
            }

            fn settles(&self) -> Duration {
                $settles
            }
        }
    };
}

alone! { Nats, Duration::ZERO }
alone! { Kafka, Duration::ZERO }
// A RabbitMQ 3.10 that is killed within moments of its first stream does not bring it back.
alone! { RabbitMq, Duration::from_secs(6) }

server! {
    /// A PostgreSQL server.
    Postgres, "TEST_POSTGRES_URL"
}
server! {
    /// A server that speaks MongoDB's protocol.
    MongoDb, "TEST_MONGODB_URL"
}
server! {
    /// A NATS server with `JetStream`.
    Nats, "TEST_NATS_URL"
}

server! {
    /// A Redis server.
    Redis, "TEST_REDIS_URL"
}

server! {
    /// A Kafka broker.
    Kafka, "TEST_KAFKA_URL"
}

server! {
    /// A RabbitMQ broker.
    RabbitMq, "TEST_RABBITMQ_URL"
}

server! {
    /// A search server.
    OpenSearch, "TEST_OPENSEARCH_URL"
}

impl OpenSearch {
    /// An address under which the names of indices are new.
    pub fn fresh(&self) -> String {
        format!("{}?prefix={}", self.url(), fresh_name())
    }
}

impl Postgres {
    /// Makes an empty database and returns its address.
    pub async fn database(&self) -> String {
        let (server, name) = (self.url().trim_end_matches('/'), fresh_name());
        self.0.wait().await;
        let mut admin = PgConnection::connect(&format!("{server}/postgres")).await.expect("a server");
        let create = AssertSqlSafe(format!("CREATE DATABASE \"{name}\""));
        sqlx::query(create).execute(&mut admin).await.expect("a database");
        format!("{server}/{name}")
    }
}

impl MongoDb {
    /// The address of a database that nobody uses yet.
    pub fn database(&self) -> String {
        let (server, options) = self.url().split_once('?').unwrap_or((self.url(), ""));
        let database = format!("{}/{}", server.trim_end_matches('/'), fresh_name());
        if options.is_empty() { database } else { format!("{database}?{options}") }
    }
}

impl Nats {
    /// An address under which the names of streams are new.
    pub fn fresh(&self) -> String {
        format!("{}?prefix={}", self.url(), fresh_name())
    }

    /// A server of one test alone with settings of its own, in the language of `nats-server -c`; `None` where it is not
    /// installed.
    ///
    /// # Panics
    /// The server does not start.
    pub async fn with_settings(settings: &str) -> Option<Self> {
        let Some(installed) = Installed::find(Server::Nats) else {
            missing(Server::Nats, None);
            return None;
        };
        let file = crate::temp_dir().keep().join("settings.conf");
        std::fs::write(&file, settings).expect("a file");
        let own = Own::start(Server::Nats, installed, crate::free_port(), &["-c", &file.display().to_string()]);
        let own = own.unwrap_or_else(|error| panic!("NATS does not start: {error}"));
        let server = Self(Running::alone(Server::Nats, own));
        server.0.wait().await;
        Some(server)
    }

    /// The folder of its data.
    ///
    /// # Panics
    /// The server is not [`Self::alone`].
    pub fn data(&self) -> PathBuf {
        self.0.own().data()
    }
}

impl Kafka {
    /// A broker of one test alone with settings of its own, each `NAME=VALUE`, that knows the user `trireme` by this
    /// password; `None` where it is not installed.
    ///
    /// # Panics
    /// The broker does not start.
    pub async fn with_settings(password: &str, settings: &[String]) -> Option<Self> {
        let Some(installed) = Installed::find(Server::Kafka) else {
            missing(Server::Kafka, None);
            return None;
        };
        let options: Vec<&str> = settings.iter().flat_map(|setting| ["--override", setting]).collect();
        let own = Own::guarded(Server::Kafka, installed, crate::free_port(), Some(password), &options);
        let own = own.unwrap_or_else(|error| panic!("Kafka does not start: {error}"));
        let server = Self(Running::alone(Server::Kafka, own));
        server.0.wait().await;
        Some(server)
    }

    /// An address under which the names of topics and groups are new, with few partitions: a controller has to keep all.
    pub fn fresh(&self) -> String {
        format!("{}?prefix={}&partitions=4", self.url(), fresh_name())
    }
}

impl RabbitMq {
    /// An address under which the names of queues are new, with few partitions.
    pub fn fresh(&self) -> String {
        format!("{}?partitions=3&prefix={}", self.url(), fresh_name())
    }

    /// Tells the broker something, in the words of `rabbitmqctl`.
    ///
    /// # Panics
    /// The server is not [`Self::alone`], or it refuses.
    pub fn control(&self, words: &[&str]) {
        let command = self.0.own().control(words);
        assert!(command.is_ok_and(|status| status.success()), "rabbitmqctl {words:?}");
    }
}

impl Redis {
    /// An address under which the names of keys are new.
    pub fn fresh(&self) -> String {
        format!("{}?prefix={}", self.url(), fresh_name())
    }

    /// Makes it a replica of another one: it takes no writes any more.
    ///
    /// # Panics
    /// One of the two is not [`Self::alone`].
    pub fn follow(&self, other: &Self) {
        let other = other.0.own().port.to_string();
        self.control(&["REPLICAOF", "127.0.0.1", &other]);
    }

    /// Makes it forget everything.
    ///
    /// # Panics
    /// The server is not [`Self::alone`].
    pub fn flush(&self) {
        self.control(&["FLUSHALL"]);
    }

    /// Lets it have used all the memory that it may use: it evicts nothing, and refuses what needs more.
    ///
    /// # Panics
    /// The server is not [`Self::alone`].
    pub fn fill_up(&self) {
        self.control(&["CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1"]);
    }

    /// Tells the server something, in the words of `redis-cli`, and returns what that prints.
    ///
    /// # Panics
    /// The server is not [`Self::alone`].
    pub fn control(&self, words: &[&str]) -> String {
        let port = self.0.own().port.to_string();
        cluster::cli(&[&["-p", &port], words].concat())
    }
}

fn fresh_name() -> String {
    format!("test_{}", Uuid::now_v7().simple())
}

/// Whether all servers are installed that `trireme up --servers` starts with a bus; says loudly which one is not.
pub fn stack_is_installed(bus: Server) -> bool {
    let found = |server: &Server| Installed::find(*server).is_some();
    let stack = Server::stack(bus);
    let lost = stack.iter().find(|server| !found(server));
    lost.inspect(|server| missing(**server, None)).is_none()
}

/// A program that a test needs; where it is not installed, says so as for a server.
pub fn program(name: &str) -> Option<PathBuf> {
    let found = servers::program(name);
    if found.is_none() {
        missing(name, None);
    }
    found
}

/// libfaketime, by which a process sees a time of its own; where it is not installed, says so as for a server.
pub fn faketime() -> Option<PathBuf> {
    let found = servers::faketime();
    if found.is_none() {
        missing("libfaketime", None);
    }
    found
}

/// Says loudly that a server or program is missing.
fn missing(server: impl Display, variable: Option<&str>) {
    let variable = variable.map(|name| format!(" and {name} is not set")).unwrap_or_default();
    assert!(
        env::var_os("TEST_ALL").is_none_or(|value| value != "1"),
        "{server} is not installed{variable}, but TEST_ALL=1 asks for it: run `make servers`"
    );
    let lost = format!("NOT TESTED: {server} is not installed{variable}");
    if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(lost.clone()) {
        // Not by `eprintln!`, which the test harness keeps to itself where a test passes.
        drop(writeln!(std::io::stderr(), "{lost}"));
    }
}

/// What was said, once in each process.
static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
