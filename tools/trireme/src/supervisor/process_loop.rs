//! The process of one service: starts it, watches it, restarts it.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::shared::Shared;
use crate::{backoff::Backoff, environment::not_inherited, output::Logs, process, service::Service};

/// A service that exits this often before it was ever ready will not start the next time either.
const MAX_FAILED_STARTS: usize = 3;
/// Longer than the services' own deadline for their end.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
const PROBE_INTERVAL: Duration = Duration::from_millis(10);

pub(super) struct ProcessLoop {
    service: Service,
    shared: Arc<Shared>,
    tracker: TaskTracker,
    stop: CancellationToken,
    kill: CancellationToken,
}

/// How a run of the process ended.
enum End {
    /// Because the supervisor stopped it.
    Stopped,
    Exited(ExitStatus),
    NotStarted(anyhow::Error),
}

impl ProcessLoop {
    pub(super) fn new(
        service: Service,
        shared: Arc<Shared>,
        tracker: TaskTracker,
        stop: CancellationToken,
        kill: CancellationToken,
    ) -> Self {
        Self { service, shared, tracker, stop, kill }
    }

    /// Runs the process again and again until the supervisor stops it.
    pub(super) async fn run(self) {
        let (mut backoff, mut failures) = (Backoff::default(), 0);
        loop {
            let started = Instant::now();
            let end = match self.spawn() {
                Ok(child) => self.wait(child).await,
                Err(error) => End::NotStarted(error),
            };
            self.shared.change_service(self.service, |service| {
                (service.pid, service.started, service.ready) = (None, None, false);
            });
            let (how, failed) = match end {
                End::Stopped => return,
                End::Exited(status) => (process::describe(status), !status.success() && status.signal().is_none()),
                End::NotStarted(error) => (format!("{error:#}"), true),
            };
            failures += usize::from(failed && !self.was_ready());
            if failures >= MAX_FAILED_STARTS {
                let log = self.shared.end_of_log(self.service);
                return self.shared.fail(format!("{} does not start: it {how}\n{log}", self.service));
            }
            let pause = backoff.after(started.elapsed());
            self.shared.output().notice(&format!("{} {how}: starting it again in {pause:?}", self.service));
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = sleep(pause) => {}
            }
            self.shared.change_service(self.service, |service| service.restarts += 1);
        }
    }

    fn was_ready(&self) -> bool {
        self.shared.state().service(self.service).is_some_and(|service| service.version.is_some())
    }

    fn spawn(&self) -> Result<Child> {
        let program = self.shared.program(self.service);
        let mut command = Command::new(&program);
        command.envs(self.shared.environment(self.service)?);
        for name in not_inherited(self.service) {
            command.env_remove(name);
        }
        // Its own group: Ctrl-C on the terminal comes to the supervisor, which ends the services in its own way.
        command.arg("serve").stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        match self.shared.options.logs {
            Logs::Files => {
                let log = self.log()?;
                command.stdout(log.try_clone()?).stderr(log);
            }
            Logs::Shown => {
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                if self.shared.output().is_terminal() && std::env::var_os("TRIREME_TELEMETRY__FORMAT").is_none() {
                    command.env("TRIREME_TELEMETRY__FORMAT", "pretty");
                }
            }
        }
        let child = command.spawn().with_context(|| format!("could not be started from {}", program.display()))?;
        let pid = child.id();
        self.shared.change_service(self.service, |service| {
            service.pid = pid;
            service.started = pid.and_then(process::started);
        });
        Ok(child)
    }

    /// A log of its own for each run of the supervisor, shared by all runs of the process in it.
    fn log(&self) -> Result<std::fs::File> {
        let (data, first) =
            (&self.shared.options.data, self.shared.state().service(self.service).is_none_or(|s| s.restarts == 0));
        let path = data.log(self.service);
        if first {
            return data.new_log(&path);
        }
        Ok(std::fs::OpenOptions::new().append(true).create(true).open(path)?)
    }

    async fn wait(&self, mut child: Child) -> End {
        if let Some(stdout) = child.stdout.take() {
            self.tracker.spawn(show(Arc::clone(&self.shared), self.service, stdout));
        }
        if let Some(stderr) = child.stderr.take() {
            self.tracker.spawn(show(Arc::clone(&self.shared), self.service, stderr));
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            ended = child.wait() => return ended.map_or_else(|error| End::NotStarted(error.into()), End::Exited),
            () = self.watch() => {}
        }
        self.end(&mut child).await;
        End::Stopped
    }

    /// Asks the process to end, and kills it when it takes too long or nobody wants to wait.
    async fn end(&self, child: &mut Child) {
        if let Some(pid) = child.id() {
            process::signal(pid, Signal::SIGTERM);
        }
        let what = tokio::select! {
            ended = child.wait() => match ended {
                Ok(status) if !status.success() => process::describe(status),
                _ => return,
            },
            () = self.kill.cancelled() => "is killed".to_owned(),
            () = sleep(STOP_TIMEOUT) => format!("did not end within {STOP_TIMEOUT:?} and is killed"),
        };
        self.shared.output().notice(&format!("{} {what}", self.service));
        let _ = child.kill().await;
    }

    /// Records when the service takes requests; returns when the supervisor stops it.
    async fn watch(&self) {
        let state = self.shared.state();
        let Some(service) = state.service(self.service) else { return };
        let admin = &service.addresses.admin;
        let (ready, version) = (format!("{admin}/healthz/ready"), format!("{admin}/version"));
        while !self.shared.http.get(&ready).await.is_ok_and(|answer| answer.status.is_success()) {
            sleep(PROBE_INTERVAL).await;
        }
        let version = self.shared.http.get(&version).await.map(|answer| answer.text("version").to_owned());
        self.shared.change_service(self.service, |service| {
            (service.ready, service.version) = (true, Some(version.unwrap_or_default()));
        });
        if service.restarts > 0 {
            self.shared.output().notice(&format!("{} is ready again", self.service));
        }
        self.stop.cancelled().await;
    }
}

/// Shows what a service prints, line by line, until it has ended.
async fn show(shared: Arc<Shared>, service: Service, pipe: impl AsyncRead + Unpin) {
    let (mut pipe, mut line) = (BufReader::new(pipe), Vec::new());
    while pipe.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
        shared.logged(service, String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
}
