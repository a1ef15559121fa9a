//! Runs the three services as child processes until it is stopped, and restarts those that exit.

mod observers;
mod orphans;
mod process_loop;
mod program_loop;
mod programs;
mod servers;
mod shared;

use std::{path::PathBuf, sync::Arc, time::Duration};

use ::servers::Server;
use anyhow::{Context as _, Result, bail};
use tokio::{
    process::Command,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{process_loop::ProcessLoop, programs::Programs, shared::Shared};
use crate::{
    data::{Data, Lock},
    environment::not_inherited,
    output::{Logs, Output, dim},
    ports, process,
    service::Service,
    state::{Addresses, ServiceState, State},
};

/// How long to retry the lock: another command may be probing whether it is held.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// What a supervisor needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where everything is kept.
    pub data: Data,
    /// The folder with the services' binaries ([`binaries`](crate::binaries)).
    pub binaries: PathBuf,
    /// Where PostgreSQL, MongoDB, Redis and OpenSearch are started too and the services run on them, the bus beside them.
    pub servers: Option<Server>,
    /// Whether the collector, Jaeger and Prometheus are started too and watch the services.
    pub observe: bool,
    /// Where the services' logs go.
    pub logs: Logs,
    /// Where it says what it does.
    pub output: Output,
}

/// Three running services. Dropped without [`Supervisor::stop`], it kills them.
#[derive(Debug)]
pub struct Supervisor {
    shared: Arc<Shared>,
    tracker: TaskTracker,
    stop: CancellationToken,
    kill: CancellationToken,
    servers: Programs,
    observers: Programs,
    _lock: Lock,
}

impl Supervisor {
    /// Prepares the data directory (secrets, ports, products) and starts all three; [`Supervisor::ready`] waits for them.
    ///
    /// # Errors
    ///
    /// Another supervisor runs on this data directory, or it cannot be prepared.
    pub async fn start(options: Options) -> Result<Self> {
        let data = options.data.clone();
        let lock = exclusive(&data).await?;
        data.make_secrets()?;
        let mut state = data.state()?;
        orphans::stop(&state, &options.output).await;
        keep_or_pick_ports(&mut state, &options.output)?;
        servers::pick_ports(&mut state, options.servers)?;
        observers::pick_ports(&mut state, options.observe)?;
        env!("CARGO_PKG_VERSION").clone_into(&mut state.version);
        state.pid = Some(std::process::id());
        data.write_state(&state)?;
        let shared = Arc::new(Shared::new(options, state));
        let observers = observers::start(&shared).await?;
        let servers = servers::start(&shared).await?;
        seed(&shared).await?;
        let (tracker, stop, kill) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        for service in Service::ALL {
            let process = ProcessLoop::new(service, Arc::clone(&shared), tracker.clone(), stop.clone(), kill.clone());
            tracker.spawn(process.run());
        }
        Ok(Self { shared, tracker, stop, kill, servers, observers, _lock: lock })
    }

    /// What runs, and where.
    pub fn state(&self) -> State {
        self.shared.state()
    }

    /// Waits until all services take requests.
    ///
    /// # Errors
    ///
    /// One of them fails to start, or takes longer than `timeout`; the end of its log is in the error.
    pub async fn ready(&self, timeout: Duration) -> Result<()> {
        let _waiting = self.shared.output().wait("starting user, order and payment");
        tokio::select! {
            () = self.shared.wait_for(State::is_ready) => Ok(()),
            failure = self.shared.failed() => bail!(failure),
            () = sleep(timeout) => {
                let state = self.state();
                let late: Vec<_> = state.services.iter().filter(|service| !service.ready).map(|s| s.name).collect();
                let logs: String = late.iter().map(|service| self.shared.end_of_log(*service)).collect();
                let names = late.iter().map(Service::to_string).collect::<Vec<_>>().join(" and ");
                bail!("{names} not ready within {timeout:?}\n{logs}")
            }
        }
    }

    /// Waits until a service cannot be started at all.
    pub async fn failed(&self) -> String {
        self.shared.failed().await
    }

    /// Asks all services to end (SIGTERM) and waits until they have; then the servers that were started for them, and what watches.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
        self.servers.stop().await;
        // Last: the services send until they end.
        self.observers.stop().await;
        self.shared.change(|state| state.pid = None);
    }

    /// Makes a [`Supervisor::stop`] that is under way kill what has not ended yet.
    pub fn hurry(&self) {
        self.kill.cancel();
    }
}

async fn exclusive(data: &Data) -> Result<Lock> {
    let asked = Instant::now();
    loop {
        if let Some(lock) = data.lock()? {
            return Ok(lock);
        }
        if asked.elapsed() > LOCK_TIMEOUT {
            let pid = data.state()?.pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
            let path = data.path().display();
            bail!(
                "trireme runs already on {path}{pid}: stop it with `trireme down --data {path}`, or name another --data DIR"
            );
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Keeps the ports of the last run where they are free, and says which ones are not.
fn keep_or_pick_ports(state: &mut State, output: &Output) -> Result<()> {
    let mut taken: Vec<u16> = state.services.iter().filter_map(|service| service.addresses.ports()).flatten().collect();
    let mut services = Vec::with_capacity(Service::ALL.len());
    for name in Service::ALL {
        let kept = state.service(name).and_then(|service| service.addresses.ports());
        let mut ports = match kept {
            Some(ports) => ports,
            None => ports::pick(&taken)?,
        };
        let fresh = ports::pick(&taken)?;
        for (port, fresh) in ports.iter_mut().zip(fresh) {
            if !ports::is_free(*port) {
                output.notice(&format!("port {port} of {name} is taken by another program: it listens on {fresh} now"));
                *port = fresh;
            }
        }
        taken.extend(ports);
        services.push(ServiceState::new(name, Addresses::local(ports)));
    }
    state.services = services;
    Ok(())
}

/// Loads the products, once, with the order binary's own subcommand.
async fn seed(shared: &Shared) -> Result<()> {
    let (options, state) = (&shared.options, shared.state());
    if if options.servers.is_some() { state.seeded_servers } else { state.seeded } {
        return Ok(());
    }
    let _waiting = options.output.wait("loading the products");
    let environment = shared.environment(Service::Order)?;
    let program = options.binaries.join(Service::Order.name());
    let mut command = Command::new(&program);
    command.arg("seed").envs(environment).kill_on_drop(true);
    for name in not_inherited(Service::Order) {
        command.env_remove(name);
    }
    let output = command.output().await;
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    if !output.status.success() {
        let printed = [output.stdout, output.stderr].concat();
        bail!("`order seed` {}:\n{}", process::describe(output.status), String::from_utf8_lossy(&printed));
    }
    shared.change(|state| if options.servers.is_some() { state.seeded_servers = true } else { state.seeded = true });
    options.output.notice(&dim("products loaded"));
    Ok(())
}

pub(crate) use observers::check_installed as check_observers;
pub(crate) use orphans::stop as stop_orphans;
