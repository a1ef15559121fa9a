//! `trireme up`.

use std::{fs, fs::File, os::unix::process::CommandExt as _, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};

use crate::{
    folder::Folder,
    ports, ready,
    service::{NAMES, Plan, binary},
    state::State,
    supervisor::{Logs, Supervisor},
    terminal::{self, BOLD, DIM},
};

/// A first start that fails this often will not succeed.
const HOPELESS: u32 = 3;

/// Starts everything and runs until Ctrl-C or SIGTERM.
pub(crate) async fn foreground(folder: &Folder, quiet: bool) -> Result<()> {
    let supervisor = start(folder, if quiet { Logs::Files } else { Logs::Terminal }).await?;
    show_addresses(folder)?;
    wait_for_the_end(&supervisor).await
}

/// Waits for Ctrl-C or SIGTERM and stops everything.
pub(crate) async fn wait_for_the_end(supervisor: &Supervisor) -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    let spinner = terminal::spinner("stopping");
    supervisor.stop().await;
    spinner.finish_and_clear();
    anstream::println!("stopped");
    Ok(())
}

/// Starts everything, waits until it is ready and seeds the catalogue on the first start.
pub(crate) async fn start(folder: &Folder, logs: Logs) -> Result<Supervisor> {
    for name in NAMES {
        binary(name)?;
    }
    let lock = take(folder)?;
    end_orphans(folder).await?;
    for secret in ["service.credential", "webhook.secret"] {
        folder.secret(secret)?;
    }
    let plan = plan(folder)?;
    let supervisor = Supervisor::start(folder, lock, plan, logs)?;
    let give_up = || (supervisor.deaths() >= HOPELESS).then(|| failure(folder));
    let started = async {
        ready::wait(folder, &plan, give_up).await?;
        seed(folder, &plan).await
    };
    if let Err(error) = started.await {
        supervisor.stop().await;
        return Err(error);
    }
    Ok(supervisor)
}

fn take(folder: &Folder) -> Result<File> {
    let shown = folder.path().display();
    folder.lock()?.with_context(|| {
        format!("{shown} is in use by a running supervisor: `trireme status --data {shown}` shows it, `trireme down --data {shown}` ends it")
    })
}

/// Ends children that a killed supervisor left behind.
async fn end_orphans(folder: &Folder) -> Result<()> {
    let Some(state) = State::read(folder) else { return Ok(()) };
    for orphan in state.services.iter().filter_map(|service| service.alive().map(|pid| (service, pid))) {
        let (service, pid) = orphan;
        terminal::line("trireme", &format!("ending {} (pid {pid}), left by an earlier run", service.name));
        let _ = kill(pid, Signal::SIGTERM); // it may have ended this moment
        let give_up = Instant::now() + Duration::from_secs(15);
        while service.alive().is_some() {
            ensure!(Instant::now() < give_up, "{} (pid {pid}) does not end: end it with `kill -9 {pid}`", service.name);
            sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

/// The ports of the last run where they are still free, so that addresses stay the same.
fn plan(folder: &Folder) -> Result<Plan> {
    let before: Vec<_> = State::read(folder).iter().flat_map(|s| &s.services).map(|service| service.ports).collect();
    let ports = if before.len() == NAMES.len() && before.iter().all(|ports| ports.free()) { before } else { ports::pick(NAMES.len())? };
    let three: [ports::Ports; 3] = ports.try_into().map_err(|_| anyhow::anyhow!("three services need three sets of ports"))?;
    Ok(Plan(three))
}

fn failure(folder: &Folder) -> String {
    let logs = NAMES.map(|name| (name, folder.tail(name, 3)));
    let logs = logs.into_iter().filter(|(_, tail)| !tail.is_empty()).map(|(name, tail)| format!("{name}:\n{tail}"));
    format!("a service does not start\n{}", logs.collect::<Vec<_>>().join("\n"))
}

/// Loads the catalogue that comes with order, once for each data folder.
async fn seed(folder: &Folder, plan: &Plan) -> Result<()> {
    let done = folder.file("seeded");
    if done.exists() {
        return Ok(());
    }
    let output = plan.command(folder, "order")?.arg("seed").stdin(Stdio::null()).output().await?;
    if !output.status.success() {
        bail!("order seed failed:\n{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    fs::write(done, "")?;
    Ok(())
}

fn show_addresses(folder: &Folder) -> Result<()> {
    let state = State::running(folder)?;
    for service in &state.services {
        let (style, name) = (terminal::colour(&service.name), &service.name);
        anstream::println!("{style}{name:>8}{style:#}  {}  {DIM}gRPC{DIM:#} {}  {DIM}admin{DIM:#} {}", service.http, service.grpc, service.admin);
    }
    anstream::println!("{DIM}data and logs in {}; Ctrl-C stops everything{DIM:#}", folder.path().display());
    Ok(())
}

/// Starts a supervisor of its own that outlives this command.
pub(crate) async fn detached(folder: &Folder) -> Result<()> {
    drop(take(folder)?);
    let log = folder.open_log("trireme")?;
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.args(["up", "--quiet", "--data"]).arg(folder.path()).stdin(Stdio::null());
    command.stdout(log.try_clone()?).stderr(log).process_group(0);
    let mut child = Command::from(command).spawn()?;
    let spinner = terminal::spinner("starting user, order and payment");
    // The supervisor prints the addresses when everything is ready; the folder says so too.
    let announced = || folder.tail("trireme", 1).contains("stops everything");
    let pid = child.id();
    loop {
        if let Some(status) = child.try_wait()? {
            bail!("it does not start ({status}):\n{}", folder.tail("trireme", 12));
        }
        if announced() && State::running(folder).is_ok_and(|state| u32::try_from(state.supervisor).ok() == pid) {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    spinner.finish_and_clear();
    let shown = folder.path().display();
    show_addresses(folder)?;
    anstream::println!("running in the background; {BOLD}trireme down --data {shown}{BOLD:#} ends it");
    Ok(())
}
