//! Three processes under one lock, one of which stops in the middle; and what becomes of a naive lock then.

use std::{
    process::Stdio,
    sync::{Arc, LazyLock},
    time::Duration,
};

use lock::{Error, Locks, Policy};
use redis::{Client, FencedValues, LockBackend, Script};
use testkit::servers::{Redis as Server, RedisCluster};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const PROCESSES: usize = 3;
/// Of each process: 10,000 and two more in all.
const SECTIONS: u64 = 3_334;
/// Short, so that a paused holder need not be waited for long.
const TTL: Duration = Duration::from_secs(1);

static GET: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.call('GET', KEYS[1]) or '0'"));
static SET: LazyLock<Script> = LazyLock::new(|| Script::new("redis.call('SET', KEYS[1], ARGV[1]) return 1"));
static PUSH: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.call('RPUSH', KEYS[1], ARGV[1])"));
static ALL: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.call('LRANGE', KEYS[1], 0, -1)"));
/// The lock that everybody writes first.
static NAIVE: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) and 1 or 0"));
static DEL: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.call('DEL', KEYS[1])"));

fn locks(url: &str) -> Locks {
    let backend = LockBackend::open(url, &TaskTracker::new(), &CancellationToken::new()).unwrap();
    let policy = Policy { ttl: TTL, waiter_ttl: TTL, ..Policy::default() };
    Locks::new(Arc::new(backend), TaskTracker::new(), policy)
}

/// One of the processes; does nothing when it runs as a test of the list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(url) = std::env::var("WORKER_REDIS") else { return };
    let plain = Client::open(&url).unwrap();
    match std::env::var("WORKER_ROLE").unwrap().as_str() {
        "count" => count(&locks(&url), &plain).await,
        "pause" => pause(&locks(&url), &FencedValues::open(&url).unwrap()).await,
        _ => pause_naively(&plain).await,
    }
}

/// Counts up under the lock, in two steps that nothing but the lock makes one.
async fn count(locks: &Locks, plain: &Client) {
    for _ in 0..SECTIONS {
        let section = async |lease: lock::Lease| {
            let count: u64 = plain.eval(&GET, &["count"], &[]).await.unwrap();
            let _: u64 = plain.eval(&PUSH, &["fences"], &[lease.fence().to_string().as_bytes()]).await.unwrap();
            let _: u64 = plain.eval(&SET, &["count"], &[(count + 1).to_string().as_bytes()]).await.unwrap();
        };
        locks.run("count", Duration::from_mins(1), section).await.unwrap();
    }
}

/// Prints that it is inside, is stopped from outside, and writes as soon as it is continued.
async fn pause(locks: &Locks, register: &FencedValues) {
    let guard = locks.lock("register", TTL).await.unwrap();
    println!("\ninside");
    sleep(TTL / 2).await; // and is stopped
    let written = match register.write(&guard.lease(), "value", b"paused").await {
        Err(Error::Stale { .. }) => false,
        written => written.is_ok(),
    };
    println!("\nwritten={written} lost={}", guard.check().is_err());
}

async fn pause_naively(plain: &Client) {
    let ttl = TTL.as_millis().to_string();
    let taken: bool = plain.eval(&NAIVE, &["naive:lock"], &[ttl.as_bytes()]).await.unwrap();
    assert!(taken);
    println!("\ninside");
    sleep(TTL / 2).await; // and is stopped
    let _: u64 = plain.eval(&SET, &["naive"], &[b"paused"]).await.unwrap();
    let _: u64 = plain.eval(&DEL, &["naive:lock"], &[]).await.unwrap();
    println!("\nwritten=true");
}

fn start(url: &str, role: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::child", "--nocapture"])
        .env("WORKER_REDIS", url)
        .env("WORKER_ROLE", role)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn line_with(lines: &mut Lines<BufReader<ChildStdout>>, prefix: &str) -> String {
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.starts_with(prefix) {
            return line;
        }
    }
    panic!("it never printed {prefix}");
}

async fn signal(child: &Child, name: &str) {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args([format!("-{name}"), pid]).status().await.unwrap().success());
}

async fn ten_thousand_sections(url: &str) {
    for child in [(); PROCESSES].map(|()| start(url, "count")) {
        let output = child.wait_with_output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let plain = Client::open(url).unwrap();
    let count: u64 = plain.eval(&GET, &["count"], &[]).await.unwrap();
    assert_eq!(count, 3 * SECTIONS, "no two were inside at once");
    let fences: Vec<i64> = plain.eval(&ALL, &["fences"], &[]).await.unwrap();
    assert_eq!(fences.len() as u64, count);
    assert!(fences.is_sorted_by(|earlier, later| earlier < later), "fences rise strictly");
}

#[tokio::test]
async fn ten_thousand_sections_of_three_processes_do_not_overlap() {
    let Some(server) = Server::alone().await else { return };
    ten_thousand_sections(&server.fresh()).await;
}

#[tokio::test]
async fn ten_thousand_sections_of_three_processes_do_not_overlap_on_a_cluster() {
    let Some(cluster) = RedisCluster::alone().await else { return };
    ten_thousand_sections(&cluster.fresh()).await;
}

/// Stops a process that holds the lock until its lease has run out, does what `meanwhile` does, and lets it go on.
async fn stop_and_continue(url: &str, role: &str, meanwhile: impl Future<Output = ()>) -> String {
    let mut child = start(url, role);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    line_with(&mut lines, "inside").await;
    signal(&child, "STOP").await;
    sleep(TTL * 2).await;
    meanwhile.await;
    signal(&child, "CONT").await;
    let outcome = line_with(&mut lines, "written=").await;
    assert!(child.wait().await.unwrap().success());
    outcome
}

#[tokio::test]
async fn a_stopped_process_is_fenced_out_where_a_naive_lock_lets_it_write() {
    let Some(server) = Server::shared().await else { return };
    let url = server.fresh();
    let plain = Client::open(&url).unwrap();
    let (locks, register, writer) = (locks(&url), FencedValues::open(&url).unwrap(), plain.clone());
    let fenced = stop_and_continue(&url, "pause", async {
        let guard = locks.lock("register", TTL).await.expect("its lease has run out");
        register.write(&guard.lease(), "value", b"live").await.unwrap();
    });
    assert_eq!(fenced.await, "written=false lost=true");
    assert_eq!(register.read("value").await.unwrap().as_deref(), Some(&b"live"[..]));

    let ttl = TTL.as_millis().to_string();
    let naive = stop_and_continue(&url, "naive", async {
        assert!(writer.eval::<bool>(&NAIVE, &["naive:lock"], &[ttl.as_bytes()]).await.unwrap());
        let _: u64 = writer.eval(&SET, &["naive"], &[b"live"]).await.unwrap();
    });
    naive.await;
    let value: String = plain.eval(&GET, &["naive"], &[]).await.unwrap();
    assert_eq!(value, "paused", "what a naive lock lets happen");
}
