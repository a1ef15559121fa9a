#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod find;
mod kafka;
mod opensearch;
mod postgres;
mod rabbitmq;
mod version;

pub use find::{faketime, program};
pub use rabbitmq::control;

use std::{
    fmt, fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::Command,
};

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Server {
    /// PostgreSQL.
    Postgres,
    /// MongoDB, or the stand-in that `make servers` installs: a server that speaks its protocol.
    MongoDb,
    /// NATS with `JetStream`.
    Nats,
    /// Redis.
    Redis,
    /// Kafka, a broker that is its own controller.
    Kafka,
    /// RabbitMQ.
    RabbitMq,
    /// OpenSearch, one node; what is said of it here is said of Elasticsearch as well.
    OpenSearch,
}

impl Server {
    /// Those that carry events.
    pub const BUSES: [Self; 3] = [Self::Nats, Self::Kafka, Self::RabbitMq];

    /// Those that the services run on, with this bus.
    pub fn stack(bus: Self) -> [Self; 5] {
        [Self::Postgres, Self::MongoDb, bus, Self::Redis, Self::OpenSearch]
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::MongoDb => "MongoDB",
            Self::Nats => "NATS",
            Self::Redis => "Redis",
            Self::Kafka => "Kafka",
            Self::RabbitMq => "RabbitMQ",
            Self::OpenSearch => "OpenSearch",
        }
    }

    /// Its name in paths.
    pub fn slug(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MongoDb => "mongodb",
            Self::Nats => "nats",
            Self::Redis => "redis",
            Self::Kafka => "kafka",
            Self::RabbitMq => "rabbitmq",
            Self::OpenSearch => "opensearch",
        }
    }

    /// The address of one that [`Installed::command`] has started.
    pub fn url(self, port: u16, password: Option<&str>) -> String {
        let password = password.map(|password| format!(":{password}")).unwrap_or_default();
        match self {
            Self::Postgres => format!("postgres://postgres{password}@127.0.0.1:{port}"),
            Self::MongoDb => format!("mongodb://127.0.0.1:{port}"),
            Self::Nats if password.is_empty() => format!("nats://127.0.0.1:{port}"),
            Self::Nats => format!("nats://{NATS_USER}{password}@127.0.0.1:{port}"),
            Self::Redis if password.is_empty() => format!("redis://127.0.0.1:{port}"),
            Self::Redis => format!("redis://{password}@127.0.0.1:{port}"),
            Self::Kafka if password.is_empty() => format!("kafka://127.0.0.1:{port}"),
            Self::Kafka => format!("kafka://{}{password}@127.0.0.1:{port}", kafka::USER),
            Self::RabbitMq if password.is_empty() => format!("amqp://127.0.0.1:{port}"),
            Self::RabbitMq => format!("amqp://trireme{password}@127.0.0.1:{port}"),
            Self::OpenSearch => format!("http://127.0.0.1:{port}"),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A server that is installed here.
#[derive(Clone, Debug)]
pub struct Installed(Program);

#[derive(Clone, Debug)]
enum Program {
    /// The folder with `initdb` and `postgres`.
    Postgres(PathBuf),
    Mongod(PathBuf),
    /// The program `java` and the folder that holds `lib` and `out`.
    StandIn(PathBuf, PathBuf),
    Nats(PathBuf),
    Redis(PathBuf),
    /// The program `java` and the folder that holds `lib`.
    Kafka(PathBuf, PathBuf),
    RabbitMq(PathBuf),
    /// The program `java` and the folder that holds `lib` and `out`.
    OpenSearch(PathBuf, PathBuf),
}

/// Who may connect to a NATS that has a password.
const NATS_USER: &str = "trireme";
/// The file with its password.
const NATS_SETTINGS: &str = "nats.conf";
/// The file with the password of a Redis that has one.
const REDIS_SETTINGS: &str = "redis.conf";
/// The class of the stand-in for MongoDB; .ci/mongodb holds its source.
const STAND_IN: &str = "de.bwaldvogel.mongo.backend.h2.MongoStandIn";

impl Installed {
    /// Searches where `make servers` and the system's packages put it, and on the path.
    pub fn find(server: Server) -> Option<Self> {
        match server {
            Server::Postgres => find::postgres().map(Program::Postgres),
            Server::MongoDb => find::mongod().map(Program::Mongod).or_else(|| {
                let (java, folder) = find::stand_in()?;
                Some(Program::StandIn(java, folder))
            }),
            Server::Nats => find::nats().map(Program::Nats),
            Server::Redis => find::redis().map(Program::Redis),
            Server::Kafka => find::kafka().map(|(java, folder)| Program::Kafka(java, folder)),
            Server::RabbitMq => rabbitmq::find().map(Program::RabbitMq),
            Server::OpenSearch => find::opensearch().map(|(java, folder)| Program::OpenSearch(java, folder)),
        }
        .map(Self)
    }

    /// Says what it is, for people.
    pub fn description(&self) -> &'static str {
        match &self.0 {
            Program::Postgres(_) => "PostgreSQL",
            Program::Mongod(_) => "MongoDB",
            Program::StandIn(..) => "a stand-in that speaks MongoDB's protocol",
            Program::Nats(_) => "NATS",
            Program::Redis(_) => "Redis",
            Program::Kafka(..) => "Kafka",
            Program::RabbitMq(_) => "RabbitMQ",
            Program::OpenSearch(..) => "OpenSearch",
        }
    }

    /// Makes the folder's data, if there is none yet; the folder must exist. Without a password every user of this
    /// machine may connect. It holds letters and digits only; MongoDB and OpenSearch take none here.
    ///
    /// # Errors
    ///
    /// The folder cannot be written to, or a program fails.
    pub fn prepare(&self, folder: &Path, password: Option<&str>) -> io::Result<()> {
        if let Program::Postgres(programs) = &self.0 {
            return postgres::prepare(programs, folder, password);
        }
        if let Program::Kafka(java, installed) = &self.0 {
            return kafka::prepare(java, installed, folder, password);
        }
        if let Program::RabbitMq(_) = &self.0 {
            return rabbitmq::prepare(folder, password);
        }
        if let (Program::Nats(_), Some(password)) = (&self.0, password) {
            let settings = format!("authorization {{ user: {NATS_USER}, password: \"{password}\" }}\n");
            private(&folder.join(NATS_SETTINGS), &settings)?;
        }
        if let (Program::Redis(_), Some(password)) = (&self.0, password) {
            private(&folder.join(REDIS_SETTINGS), &format!("requirepass {password}\n"))?;
        }
        data_folder(folder)
    }

    /// The command that runs it in the foreground on a port of 127.0.0.1, on the folder's data.
    pub fn command(&self, folder: &Path, port: u16) -> Command {
        let (data, number, port) = (folder.join("data"), port, port.to_string());
        match &self.0 {
            Program::Postgres(programs) => postgres::command(programs, &data, &port),
            Program::Mongod(program) => {
                let mut command = Command::new(program);
                command.args(["--bind_ip", "127.0.0.1", "--port", &port, "--quiet", "--dbpath"]).arg(data);
                command
            }
            Program::StandIn(java, installed) => {
                let mut command = Command::new(java);
                let classes = format!("{0}/out:{0}/lib/*", installed.display());
                command
                    .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &classes, STAND_IN, &port])
                    .arg(data.join("data.mv"));
                command
            }
            Program::Kafka(java, installed) => kafka::command(java, installed, folder, &port),
            Program::RabbitMq(program) => rabbitmq::command(program, folder, number),
            Program::OpenSearch(java, installed) => opensearch::command(java, installed, &data, &port),
            Program::Nats(program) => {
                let mut command = Command::new(program);
                command.args(["-js", "-a", "127.0.0.1", "-p", &port, "-sd"]).arg(data);
                let settings = folder.join(NATS_SETTINGS);
                if settings.exists() {
                    command.arg("-c").arg(settings);
                }
                command
            }
            Program::Redis(program) => {
                let mut command = Command::new(program);
                let settings = folder.join(REDIS_SETTINGS);
                if settings.exists() {
                    command.arg(settings);
                }
                // What is written survives the process; a machine that dies may lose the last second.
                command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "yes", "--dir"]);
                command.arg(data);
                command
            }
        }
    }
}

/// Makes the folder of the data, for this user only.
fn data_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder.join("data"))
}

/// Writes a file that this user alone may read.
fn private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
