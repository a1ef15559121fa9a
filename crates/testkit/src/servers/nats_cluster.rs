//! A cluster of NATS servers.

use servers::{Installed, Server};

use super::{Own, Running, fresh_name, missing};

/// Three NATS servers with `JetStream`, gone with this value.
#[derive(Debug)]
pub struct NatsCluster {
    nodes: Vec<Running>,
}

impl NatsCluster {
    /// Starts one for a test alone; `None` where NATS is not installed.
    ///
    /// # Panics
    /// A server does not start.
    pub async fn start() -> Option<Self> {
        let Some(installed) = Installed::find(Server::Nats) else {
            missing(Server::Nats, None);
            return None;
        };
        let ports: Vec<(u16, u16)> = (0..3).map(|_| (crate::free_port(), crate::free_port())).collect();
        let routes: Vec<String> = ports.iter().map(|(_, route)| format!("nats://127.0.0.1:{route}")).collect();
        let (routes, cluster) = (routes.join(","), fresh_name());
        let node = |(n, (port, route)): (usize, &(u16, u16))| {
            let (name, listen) = (format!("node-{n}"), format!("nats://127.0.0.1:{route}"));
            let options = ["-n", &name, "--cluster_name", &cluster, "--cluster", &listen, "--routes", &routes];
            let own = Own::start(Server::Nats, installed.clone(), *port, &options);
            let own = own.unwrap_or_else(|error| panic!("NATS does not start: {error}"));
            Running::alone(Server::Nats, own)
        };
        let nodes: Vec<Running> = ports.iter().enumerate().map(node).collect();
        for node in &nodes {
            node.wait().await;
        }
        Some(Self { nodes })
    }

    /// How many servers it has.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// An address of all servers under which the names of streams are new; each stream has three copies.
    pub fn fresh(&self) -> String {
        let hosts: Vec<&str> = self.nodes.iter().map(|node| node.url.trim_start_matches("nats://")).collect();
        format!("nats://{}?replicas=3&prefix={}", hosts.join(","), fresh_name())
    }

    /// Kills a server with SIGKILL.
    pub fn kill(&self, node: usize) {
        self.nodes[node].own().kill();
    }

    /// Starts a server that was killed again, on the same data and ports.
    ///
    /// # Panics
    /// It does not start again.
    pub async fn restart(&self, node: usize) {
        self.nodes[node].own().run().expect("it starts again");
        self.nodes[node].wait().await;
    }

    /// Stops a server with SIGSTOP: connections stay open and nothing answers.
    pub fn pause(&self, node: usize) {
        self.nodes[node].own().signal("STOP");
    }

    /// Lets a paused server go on.
    pub fn resume(&self, node: usize) {
        self.nodes[node].own().signal("CONT");
    }
}
