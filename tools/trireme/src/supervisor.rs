//! Keeps the three processes running: starts them, restarts what dies, stops them cleanly.

use std::{
    fs::File,
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::Child,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    folder::Folder,
    service::{NAMES, Plan, local},
    state::{Running, State},
    terminal,
};

/// First pause before a restart; doubled up to [`PAUSE_MAX`] while the process does not live for [`SETTLED`].
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
const SETTLED: Duration = Duration::from_secs(1);
/// The services stop within 10 s of their own; then there is something wrong with them.
const STOP_LIMIT: Duration = Duration::from_secs(12);

/// Where the services' logs go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logs {
    Terminal,
    Files,
}

/// A running supervisor.
#[derive(Clone, Debug)]
pub(crate) struct Supervisor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: Folder,
    plan: Plan,
    logs: Logs,
    state: Mutex<State>,
    stop: CancellationToken,
    tasks: TaskTracker,
    _lock: File,
}

impl Supervisor {
    /// Starts all three. `lock` is the folder's.
    pub(crate) fn start(folder: &Folder, lock: File, plan: Plan, logs: Logs) -> Result<Self> {
        let service = |(name, ports): (&str, crate::ports::Ports)| Running {
            name: name.to_owned(),
            pid: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            http: local(ports.http),
            grpc: local(ports.grpc),
            admin: local(ports.admin),
            ports,
            restarts: 0,
        };
        let supervisor = i32::try_from(std::process::id())?;
        let state = State { supervisor, services: NAMES.into_iter().zip(plan.0).map(service).collect() };
        let inner = Inner {
            folder: folder.clone(),
            plan,
            logs,
            state: Mutex::new(state),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            _lock: lock,
        };
        let started = Self(Arc::new(inner));
        for (index, name) in NAMES.into_iter().enumerate() {
            let child = started.spawn(index, name)?;
            started.0.tasks.spawn(started.clone().keep(index, name, child));
        }
        Ok(started)
    }

    /// How often the services have died so far.
    pub(crate) fn deaths(&self) -> u32 {
        self.state().services.iter().map(|service| service.restarts).sum()
    }

    /// Stops all and waits.
    pub(crate) async fn stop(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, index: usize, name: &'static str) -> Result<Child> {
        let mut command = self.0.plan.command(&self.0.folder, name)?;
        command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        match self.0.logs {
            Logs::Files => {
                let log = self.0.folder.open_log(name)?;
                command.stdout(log.try_clone()?).stderr(log);
            }
            Logs::Terminal => {
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                if std::io::IsTerminal::is_terminal(&std::io::stdout()) {
                    command.env("TRIREME_TELEMETRY__FORMAT", "pretty");
                }
            }
        }
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        if let Some(stdout) = child.stdout.take() {
            self.0.tasks.spawn(show(name, stdout));
        }
        if let Some(stderr) = child.stderr.take() {
            self.0.tasks.spawn(show(name, stderr));
        }
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        self.note(index, |service| service.pid = pid)?;
        Ok(child)
    }

    fn note(&self, index: usize, change: impl FnOnce(&mut Running)) -> Result<()> {
        let mut state = self.state();
        change(&mut state.services[index]);
        state.write(&self.0.folder)
    }

    /// Keeps one service running until told to stop.
    async fn keep(self, index: usize, name: &'static str, first: Child) {
        let (mut child, mut pause) = (first, PAUSE);
        loop {
            let started = Instant::now();
            let status = tokio::select! {
                status = child.wait() => status,
                () = self.0.stop.cancelled() => return Self::end(name, child).await,
            };
            if started.elapsed() >= SETTLED {
                pause = PAUSE;
            }
            let how = status.map_or_else(|error| error.to_string(), describe);
            say(&format!("{name} {how}; starting it again in {pause:?}"));
            let noted = self.note(index, |service| {
                service.pid = None;
                service.restarts += 1;
            });
            if let Err(error) = noted {
                say(&format!("{error:#}"));
            }
            child = loop {
                tokio::select! {
                    () = sleep(pause) => {}
                    () = self.0.stop.cancelled() => return,
                }
                pause = (pause * 2).min(PAUSE_MAX);
                match self.spawn(index, name) {
                    Ok(child) => break child,
                    Err(error) => say(&format!("{error:#}; trying again in {pause:?}")),
                }
            };
        }
    }

    async fn end(name: &str, mut child: Child) {
        let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) else { return };
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM); // it may have ended this moment
        match timeout(STOP_LIMIT, child.wait()).await {
            Ok(Ok(status)) if status.success() => {}
            Ok(status) => say(&format!("{name} {}", status.map_or_else(|error| error.to_string(), describe))),
            Err(_) => {
                say(&format!("{name} did not stop within {STOP_LIMIT:?} and was killed"));
                let _ = child.kill().await;
            }
        }
    }
}

fn say(text: &str) {
    terminal::line("trireme", text);
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was killed by signal {signal}"),
        (None, Some(code)) => format!("ended with exit code {code}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Prints a child's output line by line.
async fn show(name: &'static str, output: impl AsyncRead + Unpin) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        terminal::line(name, &line);
    }
}
