//! Three processes that want the same value at the same time.

use std::{
    process::Stdio,
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cache::{Cache, Policy};
use redis::{CacheStore, Client, Script};
use testkit::servers::{Redis as Server, RedisCluster};
use tokio::{
    process::Command,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const PROCESSES: usize = 3;
const CALLERS: usize = 1_000;
const LOAD: Duration = Duration::from_secs(1);

static COUNT: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])"));

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// One of the processes; does nothing when it runs as a test of the list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(url) = std::env::var("WORKER_REDIS") else { return };
    let start: u64 = std::env::var("WORKER_START").unwrap().parse().unwrap();
    let store = CacheStore::open(&url, &TaskTracker::new(), &CancellationToken::new()).unwrap();
    // One loads: nobody may time out on a busy machine meanwhile.
    let long = Duration::from_secs(30);
    let policy = Policy { lease_ttl: long, load_timeout: long, store_timeout: long, ..Policy::default() };
    let cache: Cache<u8, u64> = Cache::new("stampede", Arc::new(store), policy);
    let plain = Client::open(&url).unwrap();
    sleep(Duration::from_millis(start).saturating_sub(now())).await;
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (cache, plain) = (cache.clone(), plain.clone());
        callers.spawn(async move {
            let asked = Instant::now();
            let load = || async {
                let count: u64 = plain.eval(&COUNT, &["stampede:loads"], &[b"1"]).await.unwrap();
                sleep(LOAD).await;
                Ok::<_, ()>(Some(count))
            };
            assert_eq!(cache.get_or_load(&1, |version| *version, load).await.unwrap(), Some(1));
            asked.elapsed()
        });
    }
    let mut waits = callers.join_all().await;
    waits.sort_unstable();
    println!("p99={}", waits[CALLERS * 99 / 100].as_millis());
}

async fn stampede(url: &str) {
    let start = (now() + Duration::from_secs(4)).as_millis().to_string();
    let program = std::env::current_exe().unwrap();
    let children: Vec<_> = (0..PROCESSES)
        .map(|_| {
            Command::new(&program)
                .args(["--exact", "processes::child", "--nocapture"])
                .env("WORKER_REDIS", url)
                .env("WORKER_START", &start)
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().await.unwrap();
        let output_text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{output_text}");
        let p99 = output_text.lines().find_map(|line| line.split_once("p99=")).unwrap().1;
        let p99 = Duration::from_millis(p99.trim().parse().unwrap());
        println!("p99 of the wait: {p99:?}, of a load that takes {LOAD:?}");
        // Who waits for a lease to end waits for 30 s.
        assert!(p99 < LOAD * 10);
    }
    let loads: u64 = Client::open(url).unwrap().eval(&COUNT, &["stampede:loads"], &[b"0"]).await.unwrap();
    assert_eq!(loads, 1);
}

#[tokio::test]
async fn three_thousand_callers_in_three_processes_load_once() {
    let Some(server) = Server::alone().await else { return };
    stampede(&server.fresh()).await;
}

#[tokio::test]
async fn three_thousand_callers_in_three_processes_load_once_on_a_cluster() {
    let Some(cluster) = RedisCluster::alone().await else { return };
    stampede(&cluster.fresh()).await;
}
