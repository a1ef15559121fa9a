//! A Redis Cluster of three masters, each with a replica.

use std::{
    net::TcpListener,
    process::{Command, Stdio},
    sync::Mutex,
    time::Duration,
};

use servers::{Installed, Server};
use tokio::sync::OnceCell;

use super::{Own, fresh_name, missing, running::LOOKS};

const NODES: usize = 6;
/// How long a master may be silent before its replica takes its place.
const SILENCE: Duration = Duration::from_secs(2);

/// A Redis Cluster of six nodes on loopback ports, in temporary folders.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Mutex<Own>>,
    ports: Vec<u16>,
}

impl RedisCluster {
    /// The cluster of this process, started by its first user; `None` where Redis is not installed.
    pub async fn shared() -> Option<&'static Self> {
        static SHARED: OnceCell<Option<RedisCluster>> = OnceCell::const_new();
        SHARED.get_or_init(Self::alone).await.as_ref()
    }

    /// A cluster of one test alone, which may kill nodes of it; `None` where Redis is not installed.
    pub async fn alone() -> Option<Self> {
        let Some(installed) = Installed::find(Server::Redis) else {
            missing(Server::Redis, None);
            return None;
        };
        let silence = SILENCE.as_millis().to_string();
        let options = ["--cluster-enabled", "yes", "--cluster-node-timeout", &silence];
        let start = |port: u16| Own::start(Server::Redis, installed.clone(), port, &options).expect("Redis starts");
        let ports: Vec<u16> = ports();
        let nodes: Vec<_> = ports.iter().map(|port| Mutex::new(start(*port))).collect();
        let cluster = Self { nodes, ports };
        for node in 0..NODES {
            cluster.until(node, "PING", &[], "PONG").await;
        }
        let addresses: Vec<String> = cluster.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let mut create = vec!["--cluster", "create"];
        create.extend(addresses.iter().map(String::as_str));
        create.extend(["--cluster-replicas", "1", "--cluster-yes"]);
        let made = cli(&create);
        assert!(made.contains("All 16384 slots covered"), "no cluster: {made}");
        cluster.settled().await;
        Some(cluster)
    }

    /// An address under which the names of keys are new.
    pub fn fresh(&self) -> String {
        let addresses: Vec<String> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("redis+cluster://{}?prefix={}", addresses.join(","), fresh_name())
    }

    /// Kills the master that has the slot of `key`, and waits until its replica has taken its place.
    pub async fn fail_over(&self, key: &str) {
        let node = self.master_of(key);
        self.nodes[node].lock().expect("nobody panicked").kill();
        let next = (0..NODES).find(|other| *other != node).expect("there are six");
        for _ in 0..LOOKS.1 {
            let (state, port) = (self.ask(next, &["CLUSTER", "INFO"]), self.slot_owner(next, key));
            if state.contains("cluster_state:ok") && port != Some(self.ports[node]) {
                return;
            }
            tokio::time::sleep(LOOKS.0).await;
        }
        panic!("no replica took the place of node {node}");
    }

    /// Starts all nodes that were killed.
    pub async fn restart(&self) {
        for node in &self.nodes {
            let mut node = node.lock().expect("nobody panicked");
            if !node.runs() {
                node.run().expect("it starts again");
            }
        }
        self.settled().await;
    }

    fn master_of(&self, key: &str) -> usize {
        let owner = (0..NODES).find_map(|node| self.slot_owner(node, key)).expect("somebody has the slot");
        self.ports.iter().position(|port| *port == owner).expect("one of ours")
    }

    /// The port of the master of the key's slot, as `node` knows it.
    fn slot_owner(&self, node: usize, key: &str) -> Option<u16> {
        let slot: u16 = self.ask(node, &["CLUSTER", "KEYSLOT", key]).trim().parse().ok()?;
        let nodes = self.ask(node, &["CLUSTER", "NODES"]);
        nodes.lines().filter(|line| line.contains("master") && !line.contains("fail")).find_map(|line| {
            let mut fields = line.split(' ');
            let port = fields.nth(1)?.split('@').next()?.rsplit(':').next()?.parse().ok()?;
            let mut ranges = fields.skip(6).map(|range| range.split_once('-').unwrap_or((range, range)));
            let has = |(first, last): (&str, &str)| Some((first.parse().ok()?..=last.parse().ok()?).contains(&slot));
            ranges.any(|range| has(range) == Some(true)).then_some(port)
        })
    }

    /// Waits until every node sees all others, and each replica follows its master.
    async fn settled(&self) {
        for node in 0..NODES {
            self.until(node, "CLUSTER", &["INFO"], "cluster_state:ok").await;
            self.until(node, "CLUSTER", &["INFO"], "cluster_known_nodes:6").await;
        }
        for _ in 0..LOOKS.1 {
            let following = |node| self.ask(node, &["INFO", "replication"]).contains("master_link_status:up");
            if (0..NODES).filter(|node| following(*node)).count() == NODES / 2 {
                return;
            }
            tokio::time::sleep(LOOKS.0).await;
        }
        panic!("the replicas do not follow");
    }

    async fn until(&self, node: usize, command: &str, args: &[&str], said: &str) {
        let words: Vec<&str> = [command].into_iter().chain(args.iter().copied()).collect();
        for _ in 0..LOOKS.1 {
            if self.ask(node, &words).contains(said) {
                return;
            }
            tokio::time::sleep(LOOKS.0).await;
        }
        panic!("node {node} does not answer {said} to {words:?}");
    }

    fn ask(&self, node: usize, words: &[&str]) -> String {
        let port = self.ports[node].to_string();
        let mut all = vec!["-p", &port];
        all.extend(words);
        cli(&all)
    }
}

/// What `redis-cli` prints.
pub(super) fn cli(args: &[&str]) -> String {
    let output = Command::new("redis-cli").args(args).stdin(Stdio::null()).output().expect("redis-cli is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Free ports, each with a free one 10,000 above it, where the nodes talk among themselves.
fn ports() -> Vec<u16> {
    let mut ports = Vec::new();
    for _ in 0..LOOKS.1 {
        let port = crate::free_port();
        let fits = port < 55_000 && !ports.contains(&port) && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok();
        if fits {
            ports.push(port);
        }
        if ports.len() == NODES {
            return ports;
        }
    }
    panic!("no free ports for a cluster");
}
