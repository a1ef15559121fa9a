//! The process of one program that the services are not: starts it, restarts it, stops it.

use std::{path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use crate::{backoff::Backoff, process};

/// How long it may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// What exits this often within its first second will not start the next time either. A few times are normal: after a
/// kill PostgreSQL does not start before the last of its processes has ended.
const MAX_FAILED_STARTS: usize = 6;

/// What is run.
pub(super) struct Program {
    /// For people.
    pub(super) name: &'static str,
    /// In the state.
    pub(super) slug: &'static str,
    pub(super) command: Box<dyn Fn() -> std::process::Command + Send>,
    /// Where its log is.
    pub(super) folder: PathBuf,
    pub(super) ending: Signal,
}

/// Runs a program again and again until it is stopped.
pub(super) struct ProgramLoop {
    pub(super) program: Program,
    pub(super) shared: Arc<Shared>,
    pub(super) stop: CancellationToken,
}

impl ProgramLoop {
    pub(super) async fn run(self) {
        let (mut backoff, mut failures) = (Backoff::default(), 0);
        loop {
            let started = Instant::now();
            let how = match self.spawn() {
                Ok(mut child) => {
                    tokio::select! {
                        () = self.stop.cancelled() => return self.end(child).await,
                        ended = child.wait() => ended.map_or_else(|error| error.to_string(), process::describe),
                    }
                }
                Err(error) => format!("{error:#}"),
            };
            self.shared.change_program(self.program.slug, |program| (program.pid, program.started) = (None, None));
            failures = if started.elapsed() < Duration::from_secs(1) { failures + 1 } else { 0 };
            if failures >= MAX_FAILED_STARTS {
                let log = self.program.folder.join("server.log");
                return self.shared.fail(format!(
                    "{} does not start: it {how}: see {}",
                    self.program.name,
                    log.display()
                ));
            }
            let pause = backoff.after(started.elapsed());
            self.shared.output().notice(&format!("{} {how}: starting it again in {pause:?}", self.program.name));
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = sleep(pause) => {}
            }
            self.shared.change_program(self.program.slug, |program| program.restarts += 1);
        }
    }

    fn spawn(&self) -> Result<Child> {
        let log = self.shared.options.data.new_log(&self.program.folder.join("server.log"))?;
        let mut command = Command::from((self.program.command)());
        // Its own group: Ctrl-C on the terminal is for the supervisor, which ends these after the services.
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0).kill_on_drop(true);
        let child = command.spawn().context("could not be started")?;
        let pid = child.id();
        self.shared.change_program(self.program.slug, |program| {
            (program.pid, program.started) = (pid, pid.and_then(process::started));
        });
        Ok(child)
    }

    async fn end(self, mut child: Child) {
        if let Some(pid) = child.id() {
            process::signal(pid, self.program.ending);
        }
        if timeout(STOP_TIMEOUT, child.wait()).await.is_err() {
            self.shared
                .output()
                .notice(&format!("{} did not end within {STOP_TIMEOUT:?} and is killed", self.program.name));
            let _ = child.kill().await;
        }
        self.shared.change_program(self.program.slug, |program| (program.pid, program.started) = (None, None));
    }
}
