//! Size of the binaries, and time from exec to ready.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use e2e::{Cluster, SERVICES};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::report::Service;

const RESTARTS: usize = 5;
const LIMIT: Duration = Duration::from_secs(20);

/// Starts each service some times, on embedded defaults.
pub(crate) async fn services() -> Result<BTreeMap<String, Service>> {
    let cluster = Cluster::start()?;
    let mut services = BTreeMap::new();
    for name in SERVICES {
        for _ in 0..RESTARTS {
            restart(&cluster, name)?;
            // The next SIGTERM has to meet a ready process.
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        let mut times = ready_times(&cluster, name)?;
        times.sort_by(f64::total_cmp);
        let ready = times[times.len() / 2];
        let size = fs::metadata(e2e::binary(name)?)?.len() as f64 / f64::from(1 << 20);
        println!("{name}: {size:.1} MiB, ready after {ready:.0} ms, the median of {times:.0?}");
        services.insert(name.to_owned(), Service { size, ready });
    }
    Ok(services)
}

/// Ends a service and waits until its supervisor has started it again.
fn restart(cluster: &Cluster, name: &str) -> Result<()> {
    let old = cluster.process(name)?.pid;
    cluster.signal(name, Signal::SIGTERM)?;
    let deadline = Instant::now() + LIMIT;
    while cluster.process(name)?.pid.is_none_or(|pid| Some(pid) == old) {
        ensure!(Instant::now() < deadline, "{name} does not come back");
    }
    Ok(())
}

/// Milliseconds from exec to ready, as each start logs it itself.
fn ready_times(cluster: &Cluster, name: &str) -> Result<Vec<f64>> {
    let log = cluster.log(name)?;
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(lines.filter_map(|line| line["ready_ms"].as_f64()).collect())
}
