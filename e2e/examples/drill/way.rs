//! A canary of order, and its ways to the database and to payment, which can be made bad.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use anyhow::{Context as _, Result};
use e2e::observe::{Running, Stack, free_port};
use servers::Server;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
};

/// An order is stored: `{insert: "orders", …}` in BSON.
const STORED: &[u8] = b"\x02insert\0\x07\0\0\0orders\0";
/// Which of so many orders is lost.
const ONE_OF: usize = 20;

/// Version 2 of order beside version 1.
pub(crate) struct Canary {
    /// Base URL of its public interface.
    pub(crate) http: String,
    pub(crate) database: Arc<Way>,
    pub(crate) payment: Arc<Way>,
    _running: Running,
    /// Ends with this.
    _carrying: JoinSet<()>,
}

/// Between a process and a port of another.
pub(crate) struct Way {
    port: u16,
    loses: Loss,
    bad: AtomicBool,
}

/// What is lost on a bad way, with the connection that it comes on.
enum Loss {
    /// Each so many-th order on its way to the database; so many have come.
    Orders(AtomicUsize),
    Everything,
}

/// While this lives the way is bad.
pub(crate) struct Failing<'a>(&'a Way);

impl Canary {
    pub(crate) async fn start(stack: &Stack) -> Result<Self> {
        let servers = stack.cluster.servers()?;
        let name = Server::MongoDb.slug();
        let database = servers.iter().find(|server| server.name == name).context("no database")?.port;
        let payment = stack.cluster.process("payment")?.grpc;
        let payment = payment.rsplit(':').next().context("no port")?.parse()?;
        let mut carrying = JoinSet::new();
        let (database, stores) = Way::new(database, Loss::Orders(AtomicUsize::new(0)), &mut carrying).await?;
        let (payment, pays) = Way::new(payment, Loss::Everything, &mut carrying).await?;
        let [http, grpc, admin] = [free_port()?, free_port()?, free_port()?];
        let mut command = stack.cluster.another("order")?;
        for (name, port) in [("HTTP", http), ("GRPC", grpc), ("ADMIN", admin)] {
            command.env(format!("TRIREME_{name}__PORT"), port.to_string());
        }
        command.env("TRIREME_DATABASE__URL", format!("{}/order", Server::MongoDb.url(stores, None)));
        command.env("TRIREME_PAYMENT__URL", format!("http://127.0.0.1:{pays}")).env("TRIREME_BUS__CANARY", "true");
        command.env("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.label.version=v2");
        let (log, ready) = (stack.cluster.data().join("canary.log"), format!("http://127.0.0.1:{admin}/healthz/ready"));
        let running = Running::start(&mut command, &log, &ready).await?;
        stack.prometheus.read("order", "v2", &format!("http://127.0.0.1:{admin}"))?;
        Ok(Self { http: format!("http://127.0.0.1:{http}"), database, payment, _running: running, _carrying: carrying })
    }
}

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        self.0.bad.store(false, Ordering::Relaxed);
    }
}

/// Carries what the two say to each other.
async fn carry_all(listener: TcpListener, way: Arc<Way>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let way = Arc::clone(&way);
        connections.spawn(async move { way.carry(client).await });
        while connections.try_join_next().is_some() {}
    }
}

impl Way {
    /// A way to that port, and the port at which it begins.
    async fn new(port: u16, loses: Loss, carrying: &mut JoinSet<()>) -> Result<(Arc<Self>, u16)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let begin = listener.local_addr()?.port();
        let way = Arc::new(Self { port, loses, bad: AtomicBool::new(false) });
        carrying.spawn(carry_all(listener, Arc::clone(&way)));
        Ok((way, begin))
    }

    /// It is bad from now on.
    pub(crate) fn fail(&self) -> Failing<'_> {
        self.bad.store(true, Ordering::Relaxed);
        Failing(self)
    }

    async fn carry(&self, client: TcpStream) -> Result<()> {
        let (from_client, mut to_client) = client.into_split();
        let (mut answers, to) = TcpStream::connect(("127.0.0.1", self.port)).await?.into_split();
        tokio::select! {
            there = self.there(from_client, to) => there,
            back = copy(&mut answers, &mut to_client) => Ok(back.map(drop)?),
        }
    }

    /// Until the connection is closed, or lost with what it carries.
    async fn there(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 || self.loses(&buffer[..read]) {
                return Ok(());
            }
            to.write_all(&buffer[..read]).await?;
        }
    }

    fn loses(&self, sent: &[u8]) -> bool {
        if !self.bad.load(Ordering::Relaxed) {
            return false;
        }
        match &self.loses {
            Loss::Everything => true,
            Loss::Orders(orders) => {
                let is_order = sent.windows(STORED.len()).any(|part| part == STORED);
                is_order && orders.fetch_add(1, Ordering::Relaxed).is_multiple_of(ONE_OF)
            }
        }
    }
}
