//! Kafka: one process that is broker and controller.

use std::{
    fs, io,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

/// The class of the server, and of the tool that makes the folder of its data.
const SERVER: &str = "kafka.Kafka";
const STORAGE: &str = "kafka.tools.StorageTool";
/// The id of each cluster: 16 bytes in base64.
const CLUSTER: &str = "dHJpcmVtZS1rYWZrYS0wMQ";
/// Who may connect where there is a password.
pub(super) const USER: &str = "trireme";
/// Mechanisms by which it knows the same password, for listeners that ask for them; none of its own does.
const SCRAM: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];
/// One of everything that a cluster has three of, and members of groups that are missed soon.
const SETTINGS: &str = "\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=BROKER
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=100
group.consumer.heartbeat.interval.ms=200
num.network.threads=2
num.io.threads=4
background.threads=2
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
log.cleaner.dedupe.buffer.size=4194304
";

/// How its two listeners know whom they talk to: each by the password, or not at all.
fn security(password: Option<&str>) -> String {
    let Some(password) = password else {
        return "listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT\n".to_owned();
    };
    let module = "org.apache.kafka.common.security.plain.PlainLoginModule";
    let login = format!("{module} required username=\"{USER}\" password=\"{password}\" user_{USER}=\"{password}\";");
    format!(
        "\
listener.security.protocol.map=BROKER:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.mechanism.controller.protocol=PLAIN
listener.name.broker.plain.sasl.jaas.config={login}
listener.name.controller.plain.sasl.jaas.config={login}
"
    )
}

/// What the storage tool is told.
fn format_words(settings: &Path, password: Option<&str>) -> String {
    let settings = settings.display();
    let format = format!("{STORAGE} format --ignore-formatted -t {CLUSTER} -c \"{settings}\"\n");
    let user = |password: &str| SCRAM.map(|name| format!("--add-scram {name}=[name={USER},password={password}]\n"));
    format + &password.map(user).unwrap_or_default().concat()
}

/// Writes the settings and makes the folder of the data, if there is none yet.
pub(super) fn prepare(java: &Path, installed: &Path, folder: &Path, password: Option<&str>) -> io::Result<()> {
    let settings = folder.join("server.properties");
    if folder.join("data").join("meta.properties").exists() {
        return Ok(());
    }
    super::data_folder(folder)?;
    // The controller's port is for itself alone.
    let controller = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let own = format!("controller.quorum.voters=1@{controller}\nlog.dirs={}\n", folder.join("data").display());
    let listeners = format!("listeners=BROKER://127.0.0.1:9092,CONTROLLER://{controller}\n");
    super::private(&settings, &format!("{SETTINGS}{own}{listeners}{}", security(password)))?;
    let mut format = machine(java, installed);
    // In a file, because others can see the words of a command.
    let words = folder.join("format.words");
    super::private(&words, &format_words(&settings, password))?;
    let made = format.arg(format!("@{}", words.display())).stdin(Stdio::null()).output()?;
    fs::remove_file(&words)?;
    let said = String::from_utf8_lossy(&made.stderr);
    made.status.success().then_some(()).ok_or_else(|| io::Error::other(format!("Kafka's storage tool failed: {said}")))
}

/// The command that runs it on a port.
pub(super) fn command(java: &Path, installed: &Path, folder: &Path, port: &str) -> Command {
    let settings = folder.join("server.properties");
    let controller = fs::read_to_string(&settings).unwrap_or_default();
    let controller = controller.lines().find_map(|line| line.split_once("CONTROLLER://")).map(|(_, at)| at.to_owned());
    let broker = format!("BROKER://127.0.0.1:{port}");
    let listeners = format!("listeners={broker},CONTROLLER://{}", controller.unwrap_or_default());
    let mut command = machine(java, installed);
    command.arg(SERVER).arg(settings);
    command.args(["--override", &listeners, "--override", &format!("advertised.listeners={broker}")]);
    command
}

fn machine(java: &Path, installed: &Path) -> Command {
    let mut command = Command::new(java);
    let log = format!("-Dlog4j2.configurationFile={}", installed.join("log4j2.properties").display());
    let classes = format!("{}/lib/*", installed.display());
    command.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", &log, "-cp", &classes]);
    command
}
