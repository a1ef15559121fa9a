//! tmp
use async_trait::async_trait;
use messaging::sqlite::{SqliteBus, SqliteOutbox, record};
use messaging::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
static NOTHING: sqlx::migrate::Migrator = sqlx::migrate::Migrator::DEFAULT;
struct H(::sqlite::Database, AtomicUsize);
#[async_trait]
impl Handler for H {
    async fn handle(&self, _e: &Event, receipt: Receipt) -> Result<(), Failure> {
        let mut tx = self.0.begin().await.map_err(Failure::transient)?;
        let _ = record(&mut tx, &Effects::default().caused_by(receipt)).await.map_err(Failure::transient)?;
        tx.commit().await.map_err(Failure::transient)?;
        self.1.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bench() {
    let dir = testkit::temp_dir();
    let db = ::sqlite::open(&testkit::sqlite_url(&dir, "s.db"), &NOTHING).await.unwrap();
    let db2 = ::sqlite::open(&testkit::sqlite_url(&dir, "s2.db"), &NOTHING).await.unwrap();
    let outbox = Arc::new(SqliteOutbox::open(db.clone(), clock::system()).await.unwrap());
    let _ = SqliteOutbox::open(db2.clone(), clock::system()).await.unwrap();
    let url = testkit::sqlite_url(&dir, "bus.db");
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&url, clock::system()).await.unwrap());
    let bus2: Arc<dyn Bus> = Arc::new(SqliteBus::open(&url, clock::system()).await.unwrap());
    let relay = Relay::new(outbox, bus, clock::system());
    let wake = relay.wake();
    let (token, tracker) = (CancellationToken::new(), TaskTracker::new());
    tracker.spawn(relay.run(token.clone()));
    let h = Arc::new(H(db2, AtomicUsize::new(0)));
    tracker
        .spawn(Consumer::new(bus2, "g", &["a.v1"], h.clone(), Policy::default()).run(token.clone(), tracker.clone()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let c = cpu();
    tokio::time::sleep(Duration::from_secs(5)).await;
    println!("idle cpu/s {:.4}", (cpu() - c) / 5.0);
    for rate in [300_u64, 0] {
        let start = h.1.load(Ordering::Relaxed);
        let (t, c) = (Instant::now(), cpu());
        let n = 3000;
        for i in 0..n {
            let mut tx = db.begin().await.unwrap();
            let e = Event::new("a.v1", "x", i, clock::system().now(), serde_json::json!({"total": 1299})).unwrap();
            let _ = record(&mut tx, &Effects::of(vec![e])).await.unwrap();
            tx.commit().await.unwrap();
            wake.poke();
            if rate > 0 {
                tokio::time::sleep_until(tokio::time::Instant::from_std(
                    t + Duration::from_micros(1_000_000 / rate * i as u64),
                ))
                .await;
            }
        }
        println!("recorded in {:?}", t.elapsed());
        while h.1.load(Ordering::Relaxed) - start < n {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let (w, c) = (t.elapsed(), cpu() - c);
        println!("rate {rate}: {n} events in {w:?}, cpu {c:.2}s = {:.0} us/event", c * 1e6 / n as f64);
    }
    token.cancel();
}
