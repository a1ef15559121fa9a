//! `trireme up`: start everything and keep it running, here or in the background.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use servers::Server;
use tokio::time::{Instant, sleep};

use crate::{
    data::Data,
    output::{Logs, Output, addresses, bold, dim},
    service::binaries,
    signals::Signals,
    supervisor::{Options, Supervisor, check_observers},
};

/// A slow machine under load may take this long.
pub(super) const READY_TIMEOUT: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Runs until Ctrl-C or SIGTERM; `detached` says that nobody watches.
pub(crate) async fn run(path: &Path, servers: Option<Server>, observe: bool, detached: bool) -> Result<ExitCode> {
    check(observe)?;
    if detached {
        // Away from the terminal that may be closed; fails only for who leads a group already.
        let _ = nix::unistd::setsid();
    }
    let (data, output) = (Data::create(path)?, Output::new());
    let logs = if detached { Logs::Files } else { Logs::Shown };
    let options = Options { data: data.clone(), binaries: binaries()?, servers, observe, logs, output: output.clone() };
    let mut signals = Signals::new()?;
    let supervisor = tokio::select! {
        started = Supervisor::start(options) => started?,
        () = signals.next() => return Ok(ExitCode::SUCCESS),
    };
    let outcome = tokio::select! {
        outcome = keep(&supervisor, &output) => outcome,
        () = signals.next() => Ok(()),
    };
    stop(&supervisor, &mut signals, &output).await;
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Before anything is started.
fn check(observe: bool) -> Result<()> {
    if observe { check_observers() } else { Ok(()) }
}

async fn keep(supervisor: &Supervisor, output: &Output) -> Result<()> {
    supervisor.ready(READY_TIMEOUT).await?;
    output.notice(&bold("user, order and payment are ready"));
    for line in addresses(&supervisor.state()) {
        output.notice(&line);
    }
    output.notice(&dim("Ctrl-C stops them"));
    bail!(supervisor.failed().await)
}

/// Stops everything; a second signal kills what has not ended yet.
pub(super) async fn stop(supervisor: &Supervisor, signals: &mut Signals, output: &Output) {
    output.notice("stopping");
    let hurry = async {
        signals.next().await;
        supervisor.hurry();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = supervisor.stop() => {}
        () = hurry => {}
    }
    output.notice("stopped");
}

/// Starts a supervisor in the background and waits until all is ready.
pub(crate) async fn detach(path: &Path, servers: Option<Server>, observe: bool) -> Result<ExitCode> {
    check(observe)?;
    let (data, output) = (Data::create(path)?, Output::new());
    let shown = data.path().display();
    if data.lock()?.is_none() {
        bail!("trireme runs already on {shown}: stop it with `trireme down --data {shown}`");
    }
    binaries()?;
    let log = data.new_log(&data.own_log())?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["up", "--detached", "--data"]).arg(data.path());
    if let Some(bus) = servers {
        command.args(["--servers", "--bus", bus.slug()]);
    }
    if observe {
        command.arg("--observe");
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut child = command.spawn().context("cannot start in the background")?;
    let start = Instant::now();
    let waiting = output.wait("starting user, order and payment");
    loop {
        if let Some(status) = child.try_wait()? {
            drop(waiting);
            let log = fs::read_to_string(data.own_log()).unwrap_or_default();
            bail!("it ended with {status}:\n{log}");
        }
        let state = data.state()?;
        if state.pid == Some(child.id()) && state.is_ready() {
            drop(waiting);
            output.line(&format!(
                "{} in the background after {:.1?}",
                bold("user, order and payment are ready"),
                start.elapsed()
            ));
            output.lines(&addresses(&state));
            output.line(&format!("  logs in {}", data.join("logs").display()));
            output.line(&format!("  stop with: trireme down --data {shown}"));
            return Ok(ExitCode::SUCCESS);
        }
        if start.elapsed() > READY_TIMEOUT + READY_TIMEOUT / 2 {
            crate::process::signal(child.id(), nix::sys::signal::Signal::SIGTERM);
            bail!("not ready within {READY_TIMEOUT:?}: see {}", data.join("logs").display());
        }
        sleep(POLL_INTERVAL).await;
    }
}
