//! Any number of processes of each service, in two versions, on PostgreSQL, MongoDB, NATS and Redis behind Envoy.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use e2e::binary;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use testkit::{TempDir, free_port, servers};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};
use trireme::{Addresses, Service, ServiceState, State, http::Http};

use crate::{
    chart::Chart,
    envoy::{self, Envoy, Listeners, Ports},
};

/// A process is ready, or has ended, long before that.
const TIMEOUT: Duration = Duration::from_secs(30);

/// One process of a service.
pub(crate) struct Replica {
    pub(crate) service: Service,
    version: &'static str,
    ports: Ports,
    log: PathBuf,
    child: Option<Child>,
}

/// Where everybody keeps things.
struct Stores {
    user: String,
    order: String,
    payment: String,
    bus: String,
    redis: String,
}

/// Everything that runs.
pub(crate) struct Fleet {
    folder: TempDir,
    stores: Stores,
    pub(crate) listeners: Listeners,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) envoy: Option<Envoy>,
    collector: Option<String>,
}

impl Stores {
    async fn find() -> Option<Self> {
        let (postgres, mongodb) = (servers::Postgres::shared().await?, servers::MongoDb::shared().await?);
        let (nats, redis) = (servers::Nats::shared().await?, servers::Redis::shared().await?);
        Some(Self {
            user: postgres.database().await,
            order: mongodb.database(),
            payment: postgres.database().await,
            bus: nats.fresh(),
            redis: redis.fresh(),
        })
    }
}

impl Fleet {
    /// Starts so many processes of version 1 and of version 2 of each service; spans go to a collector where there is
    /// one. `None` where a server, Envoy or helm is not installed.
    pub(crate) async fn start(v1: usize, v2: usize, collector: Option<String>) -> Result<Option<Self>> {
        let Some(program) = servers::program("envoy") else { return Ok(None) };
        let Some(chart) = Chart::render()? else { return Ok(None) };
        let Some(stores) = Stores::find().await else { return Ok(None) };
        let folder = testkit::temp_dir();
        std::fs::write(folder.path().join("credential"), "a credential of this test alone, 32 bytes")?;
        let listeners = Listeners::pick();
        let mut fleet = Self { folder, stores, listeners, replicas: Vec::new(), envoy: None, collector };
        for service in Service::ALL {
            let versions = std::iter::repeat_n("v1", v1).chain(std::iter::repeat_n("v2", v2));
            for (n, version) in versions.enumerate() {
                let ports = Ports { http: free_port(), grpc: free_port(), admin: free_port() };
                let log = fleet.folder.path().join(format!("{service}-{n}.log"));
                fleet.replicas.push(Replica { service, version, ports, log, child: None });
            }
        }
        let mut config = envoy::render(&chart, &fleet.listeners, &fleet.hosts())?;
        envoy::orchestrate(&mut config)?;
        fleet.envoy = Some(Envoy::start(&program, fleet.folder.path(), &fleet.listeners, &config).await?);
        // One product, of which there is more than any test orders.
        let seed = fleet.folder().join("products.json");
        let price = serde_json::json!({"amount": 990, "currency": "EUR"});
        let mug =
            serde_json::json!({"sku": "MUG", "name": "Mug", "description": "", "price": price, "stock": 1_000_000});
        std::fs::write(&seed, serde_json::json!([mug]).to_string())?;
        let seeded = fleet.command(Service::Order, None)?.arg("seed").arg(&seed).output().await?;
        ensure!(seeded.status.success(), "{}", String::from_utf8_lossy(&seeded.stderr));
        for n in 0..fleet.replicas.len() {
            fleet.run(n).await?;
        }
        Ok(Some(fleet))
    }

    /// By the names in Envoy's configuration.
    fn hosts(&self) -> BTreeMap<String, Vec<Ports>> {
        let mut hosts: BTreeMap<String, Vec<Ports>> = BTreeMap::new();
        for Replica { service, version, ports, .. } in &self.replicas {
            let name = if *version == "v1" { service.to_string() } else { format!("{service}-{version}") };
            hosts.entry(name).or_default().push(*ports);
        }
        hosts
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn credential(&self) -> Result<auth::Credential> {
        Ok(auth::Credential::new(&std::fs::read_to_string(self.folder().join("credential"))?, "trireme"))
    }

    /// The admin port of each process, with its service and version.
    pub(crate) fn admins(&self) -> impl Iterator<Item = (Service, &'static str, u16)> {
        self.replicas.iter().map(|replica| (replica.service, replica.version, replica.ports.admin))
    }

    /// The process of a version of a service.
    pub(crate) fn find(&self, service: Service, version: &str) -> Result<usize> {
        let is = |replica: &Replica| replica.service == service && replica.version == version;
        self.replicas.iter().position(is).with_context(|| format!("no {service} {version}"))
    }

    /// A binary in its environment: everybody reaches everybody through Envoy.
    fn command(&self, service: Service, replica: Option<&Replica>) -> Result<Command> {
        let Stores { user, order, payment, bus, redis } = &self.stores;
        let own = [user, order, payment][service as usize];
        let secret = self.folder().join("credential");
        let mut command = Command::new(binary(service.name())?);
        command
            .env_clear()
            .env("TRIREME_DATABASE__URL", own)
            .env("TRIREME_BUS__URL", bus)
            .env("TRIREME_SERVICE__CREDENTIAL_FILE", &secret)
            .env("TRIREME_SHUTDOWN__LAME_DUCK", "1s")
            .env("TRIREME_TELEMETRY__FORMAT", "json")
            .kill_on_drop(true)
            .stdin(Stdio::null());
        match service {
            Service::User => command.env("TRIREME_ORDER__URL", self.listeners.url(8082)),
            Service::Order => command
                .env("TRIREME_AUTH__JWKS_URL", format!("{}/.well-known/jwks.json", self.listeners.url(8081)))
                .env("TRIREME_PAYMENT__URL", self.listeners.url(9090))
                .env("TRIREME_USER__URL", self.listeners.url(9091)),
            Service::Payment => command
                .env("TRIREME_PROVIDER__URL", format!("sandbox+{payment}"))
                .env("TRIREME_WEBHOOK__SECRET_FILE", &secret),
        };
        if service != Service::Payment {
            command.env("TRIREME_CACHE__URL", redis);
        }
        if service != Service::User {
            command.env("TRIREME_LOCK__URL", redis);
        }
        let Some(replica) = replica else { return Ok(command) };
        let Ports { http, grpc, admin } = replica.ports;
        for (port, key) in [(http, "HTTP"), (grpc, "GRPC"), (admin, "ADMIN")] {
            command.env(format!("TRIREME_{key}__PORT"), port.to_string());
        }
        if let Some(collector) = &self.collector {
            command
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
                .env("OTEL_METRICS_EXPORTER", "none")
                .env("OTEL_RESOURCE_ATTRIBUTES", format!("k8s.pod.label.version={}", replica.version))
                .env("OTEL_BSP_SCHEDULE_DELAY", "100")
                .env("OTEL_BSP_MAX_QUEUE_SIZE", "100000");
        }
        command.env("TRIREME_BUS__CANARY", (replica.version == "v2").to_string());
        Ok(command)
    }

    /// Starts a process and waits until it is ready.
    pub(crate) async fn run(&mut self, n: usize) -> Result<()> {
        let replica = &self.replicas[n];
        let log = std::fs::File::options().create(true).append(true).open(&replica.log)?;
        let child = self.command(replica.service, Some(replica))?.stdout(log.try_clone()?).stderr(log).spawn()?;
        let (http, deadline) = (Http::new(), Instant::now() + TIMEOUT);
        let ready = format!("http://127.0.0.1:{}/healthz/ready", replica.ports.admin);
        while !http.get(&ready).await.is_ok_and(|answer| answer.status.is_success()) {
            ensure!(Instant::now() < deadline, "{}", std::fs::read_to_string(&replica.log)?);
            sleep(Duration::from_millis(20)).await;
        }
        self.replicas[n].child = Some(child);
        Ok(())
    }

    /// Sends a signal and waits for the end of the process; returns its exit code.
    pub(crate) async fn end(&mut self, n: usize, signal: Signal) -> Result<Option<i32>> {
        let mut child = self.replicas[n].child.take().context("it does not run")?;
        let pid = Pid::from_raw(i32::try_from(child.id().context("it has ended")?)?);
        kill(pid, signal)?;
        Ok(tokio::time::timeout(TIMEOUT, child.wait()).await.context("it does not end")??.code())
    }

    /// What a replica has logged.
    pub(crate) fn log(&self, n: usize) -> Result<String> {
        Ok(std::fs::read_to_string(&self.replicas[n].log)?)
    }

    /// Waits until no event is under way on the bus; returns how many still are when that takes too long.
    pub(crate) async fn open_events(&self) -> Result<u64> {
        let bus = backends::bus(&messaging::Config::new(&self.stores.bus), clock::system()).await?;
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let mut open = 0;
            for group in ["user", "user-copies", "user-mail", "order", "payment"] {
                open += bus.depth(group).await?;
            }
            if open == 0 || Instant::now() > deadline {
                bus.close().await;
                return Ok(open);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// The fleet as `trireme verify` sees it: one process of each service, asked directly.
    pub(crate) fn state(&self) -> State {
        let services = Service::ALL.map(|name| {
            let Ports { http, grpc, admin } =
                self.replicas.iter().find(|replica| replica.service == name).map(|replica| replica.ports).unwrap();
            let [http, grpc, admin] = [http, grpc, admin].map(|port| format!("http://127.0.0.1:{port}"));
            let addresses = Addresses { http, grpc, admin };
            ServiceState { name, pid: None, started: None, version: None, ready: true, restarts: 0, addresses }
        });
        State { services: services.into(), ..State::default() }
    }
}
