//! Resident memory.

use std::{collections::BTreeMap, fs};

use anyhow::{Context as _, Result};
use e2e::Cluster;

use crate::report::Memory;

/// Notes what each service has, and prints it; "the most" is what it had at most since its start.
pub(crate) fn note(cluster: &Cluster, setting: &str, when: &str, notes: &mut Vec<Memory>) -> Result<()> {
    let field = if when.ends_with("the most") { "VmHWM:" } else { "VmRSS:" };
    let mut resident = BTreeMap::new();
    for process in cluster.processes()? {
        resident.insert(process.name, mebibytes(process.pid.context("not running")?, field)?);
    }
    println!("resident MiB, {setting}, {when}: {resident:.1?}");
    notes.push(Memory { setting: setting.to_owned(), when: when.to_owned(), resident });
    Ok(())
}

fn mebibytes(pid: i32, field: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).with_context(|| field.to_owned())?;
    let kib: u32 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(f64::from(kib) / 1024.0)
}
