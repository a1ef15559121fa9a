//! Measures the binaries built beside it: size, time from exec to ready, memory, and requests per CPU-second.
//!
//! `make bench` builds them in release and runs this. Linux only: it reads `/proc`.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use e2e::{Account, Answer, Api, Cluster, Process};
use futures::future::try_join_all;
use http::{Method, StatusCode};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const CLIENTS: usize = 16;
const RESTARTS: usize = 5;

/// Resident memory of a process in MiB.
fn resident(pid: i32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kib: u32 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(f64::from(kib) / 1024.0)
}

/// User and system time of a process so far.
fn cpu(pid: i32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').context("stat")?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut next = || -> Result<u64> { Ok(fields.next().context("stat")?.parse()?) };
    let ticks = next()? + next()?;
    // A tick is a hundredth of a second on every Linux that Rust runs on.
    Ok(Duration::from_millis(ticks * 10))
}

fn pids(processes: &[Process]) -> Result<Vec<i32>> {
    processes.iter().map(|process| process.pid.context("not running")).collect()
}

/// Kills a service and measures from the supervisor's restart to readiness, by the process' own start time.
fn restart(cluster: &Cluster, name: &str) -> Result<()> {
    let old = cluster.process(name)?.pid;
    cluster.signal(name, Signal::SIGTERM)?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while cluster.process(name)?.pid.is_none_or(|pid| Some(pid) == old) {
        ensure!(Instant::now() < deadline, "{name} does not come back");
    }
    Ok(())
}

/// Exec to ready in milliseconds, as each start logs it itself.
fn ready_times(cluster: &Cluster, name: &str) -> Result<Vec<f64>> {
    let log = cluster.log(name)?;
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(lines.filter_map(|line| line["ready_ms"].as_f64()).collect())
}

/// One phase of load: requests per second, per CPU-second of the three services, and the slowest hundredth.
async fn phase<F, Fut>(name: &str, cluster: &Cluster, requests: usize, one: F) -> Result<()>
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = Result<Answer>>,
{
    let pids = pids(&cluster.processes()?)?;
    let used = || -> Result<Duration> { pids.iter().map(|pid| cpu(*pid)).sum() };
    let (next, cpu_before, start) = (AtomicUsize::new(0), used()?, Instant::now());
    let client = async || -> Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(requests / CLIENTS);
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= requests {
                return Ok(times);
            }
            let sent = Instant::now();
            let answer = one(n).await?;
            ensure!(answer.status.is_success(), "{name}: {answer:?}");
            times.push(sent.elapsed());
        }
    };
    let mut times: Vec<Duration> = try_join_all((0..CLIENTS).map(|_| client())).await?.concat();
    let (wall, spent) = (start.elapsed(), used()?.saturating_sub(cpu_before));
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
    let count = f64::from(u32::try_from(times.len())?);
    println!(
        "{name:<22} {:>8.0} /s {:>8.0} /CPU-s   p50 {:>6.2} ms   p99 {:>6.2} ms",
        count / wall.as_secs_f64(),
        count / spent.as_secs_f64(),
        at(50),
        at(99),
    );
    Ok(())
}

fn memory(when: &str, cluster: &Cluster) -> Result<()> {
    let row = |process: &Process| -> Result<String> {
        Ok(format!("{} {:.1} MiB", process.name, resident(process.pid.context("not running")?)?))
    };
    let rows: Result<Vec<_>> = cluster.processes()?.iter().map(row).collect();
    println!("resident {when:<13} {}", rows?.join("   "));
    Ok(())
}

fn sizes() -> Result<()> {
    for name in ["user", "order", "payment"] {
        let path = e2e::binary(name)?;
        println!(
            "size                   {name} {:.1} MiB",
            f64::from(u32::try_from(fs::metadata(path)?.len())?) / 1_048_576.0
        );
    }
    Ok(())
}

async fn ready(cluster: &Cluster) -> Result<()> {
    for name in ["user", "order", "payment"] {
        for _ in 0..RESTARTS {
            restart(cluster, name)?;
            // The next SIGTERM has to meet a ready process.
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        let mut times = ready_times(cluster, name)?;
        times.sort_by(f64::total_cmp);
        println!(
            "exec to ready          {name} median {:.0} ms of {} starts {times:.0?}",
            times[times.len() / 2],
            times.len()
        );
    }
    Ok(())
}

async fn product(api: &Api, operator: &Account) -> Result<Value> {
    let tea = json!({"sku": "BENCH-1", "name": "Tea", "description": "", "price": {"amount": 500, "currency": "EUR"}, "stock": 1_000_000});
    let answer = api.post("order:/v1/products", operator, Some("bench"), Some(&tea)).await?;
    ensure!(answer.status.is_success(), "{answer:?}");
    Ok(answer.body["id"].clone())
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    sizes()?;
    let cluster = Cluster::start()?;
    ready(&cluster).await?;
    memory("at rest", &cluster)?;
    let api = Api::new(&cluster)?;
    let operator = api.operator(&cluster).await?;
    let account = api.sign_up().await?;
    let item = product(&api, &operator).await?;
    let order = json!({"items": [{"product_id": item, "quantity": 1}], "payment_token": "tok_ok"});

    let (api, account, order) = (&api, &account, &order);
    phase("read a user", &cluster, 40_000, |_| api.get("user:/v1/users/me", account)).await?;
    phase("list 20 products", &cluster, 40_000, |_| api.send(Method::GET, "order:/v1/products", &[], None)).await?;
    phase("place an order", &cluster, 6_000, |n| async move {
        let key = format!("bench-{n}");
        let answer = api.post("order:/v1/orders", account, Some(&key), Some(order)).await?;
        ensure!(answer.status == StatusCode::CREATED, "{answer:?}");
        Ok(answer)
    })
    .await?;
    memory("under load", &cluster)
}
