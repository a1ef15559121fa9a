//! Processes that stand still.

use std::fs;

use anyhow::Result;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Processes that stand still until this is dropped.
#[derive(Debug)]
pub struct Paused(Vec<Pid>);

impl Paused {
    /// Stops them.
    pub fn all(processes: Vec<Pid>) -> Self {
        let all = Self(processes);
        all.signal(Signal::SIGSTOP);
        all
    }

    fn signal(&self, signal: Signal) {
        for process in &self.0 {
            // One that has ended stands still, too.
            let _ = kill(*process, signal);
        }
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        self.signal(Signal::SIGCONT);
    }
}

/// A process and all that descend from it, it first: nobody is born to one that stands still.
pub fn family(first: Pid) -> Result<Vec<Pid>> {
    let processes =
        fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let with_parent = processes.filter_map(|process| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<i32>().ok()?;
        Some((process, parent))
    });
    let all: Vec<_> = with_parent.collect();
    let mut family = vec![first.as_raw()];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(all.iter().filter(|(_, of)| *of == parent).map(|(process, _)| *process));
        next += 1;
    }
    Ok(family.into_iter().map(Pid::from_raw).collect())
}
