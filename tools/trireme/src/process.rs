//! Processes by their id: whether one is still the one it was, and how to end it.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// When the process started, as the system puts it; `None` when there is no such process.
///
/// Together with the id it says whether a process is the one that was started once.
pub(crate) fn started(pid: u32) -> Option<String> {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        // After the name, which may hold anything, in brackets: state is the first field, start time the 20th.
        Ok(stat) => {
            let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
            (*fields.first()? != "Z").then(|| fields.get(19).map(|ticks| (*ticks).to_owned()))?
        }
        // A system without /proc.
        Err(_) if !std::path::Path::new("/proc/self/stat").exists() => {
            let output = Command::new("ps").args(["-o", "lstart=", "-p", &pid.to_string()]).output().ok()?;
            let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            (!text.is_empty()).then_some(text)
        }
        Err(_) => None,
    }
}

/// Says whether the process that was started then still runs.
pub(crate) fn is_alive(pid: u32, since: &str) -> bool {
    started(pid).is_some_and(|start| start == since)
}

/// Sends a signal; `false` when there is no such process.
pub(crate) fn signal(pid: u32, signal: Signal) -> bool {
    i32::try_from(pid).is_ok_and(|pid| kill(Pid::from_raw(pid), signal).is_ok())
}

/// Ends a process that is not this one's child: asks first, kills after `timeout`.
pub(crate) async fn end(pid: u32, since: &str, timeout: Duration) {
    for ending in [Signal::SIGTERM, Signal::SIGKILL] {
        let asked = Instant::now();
        if is_alive(pid, since) {
            signal(pid, ending);
        }
        while is_alive(pid, since) && asked.elapsed() < timeout {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

/// An exit status in words.
pub(crate) fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was killed by signal {signal}"),
        (None, Some(code)) => format!("ended with exit code {code}"),
        (None, None) => "ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_known_by_its_start() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let since = started(child.id()).unwrap();
        assert!(is_alive(child.id(), &since));
        assert!(!is_alive(child.id(), "another time"));
        end(child.id(), "another time", Duration::from_secs(5)).await;
        assert!(is_alive(child.id(), &since), "not that one");
        end(child.id(), &since, Duration::from_secs(5)).await;
        assert!(!is_alive(child.id(), &since));
        child.wait().unwrap();
    }
}
