//! Cases about a lock that is held: exclusion, fences, renewal, loss.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::task::TaskTracker;

use super::{LONG, Register, TTL, fresh_name, locks, policy};
use crate::{Acquired, Backend, BoxError, Error, Locks, Owner, Request};

pub async fn fences_rise_and_never_two_inside(backend: Arc<dyn Backend>) {
    let name = fresh_name();
    let (inside, fences) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let mut clients = JoinSet::new();
    for client in 0..8 {
        let (locks, name) = (locks(&backend), name.clone());
        let (inside, fences) = (Arc::clone(&inside), Arc::clone(&fences));
        clients.spawn(async move {
            for _ in 0..40 {
                let fair = client % 2 == 0;
                let taken = if fair { locks.lock_fair(&name, LONG).await } else { locks.lock(&name, LONG).await };
                let guard = taken.unwrap();
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two inside");
                fences.lock().unwrap().push(guard.fence());
                tokio::task::yield_now().await;
                assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1, "two inside");
                guard.release().await.unwrap();
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    let fences = fences.lock().unwrap();
    assert_eq!(fences.len(), 320);
    assert!(fences.is_sorted_by(|earlier, later| earlier < later), "fences rise strictly: {fences:?}");
}

pub async fn run_returns_the_works_output(backend: Arc<dyn Backend>) {
    let (locks, name) = (locks(&backend), fresh_name());
    assert_eq!(locks.run(&name, LONG, |lease| async move { lease.check().map(|()| 7) }).await.unwrap().unwrap(), 7);
    assert!(locks.try_lock(&name).await.unwrap().is_some(), "released when the work was done");
}

pub async fn renewal_outlasts_the_lease(backend: Arc<dyn Backend>) {
    let (locks, name) = (locks(&backend), fresh_name());
    let guard = locks.lock(&name, LONG).await.unwrap();
    let lease = guard.lease();
    sleep(TTL * 3).await;
    lease.check().expect("renewed twice in each lease's time");
    assert!(locks.try_lock(&name).await.unwrap().is_none());
    assert!(!lease.token().is_cancelled());
    guard.release().await.unwrap();
    assert!(lease.token().is_cancelled() && lease.check().is_err());
}

/// The holder stops for longer than its lease: its thread sleeps, so not even its renewal runs.
pub async fn paused_holder_is_fenced_out_and_notified(backend: Arc<dyn Backend>) {
    let (name, register) = (fresh_name(), Arc::new(Register::default()));
    let inside = Arc::new(AtomicBool::new(false));
    let paused = {
        let (backend, name) = (Arc::clone(&backend), name.clone());
        let (register, inside) = (Arc::clone(&register), Arc::clone(&inside));
        on_its_own_thread(move || async move {
            let mut written = None;
            let outcome = locks(&backend)
                .run(&name, LONG, |lease| {
                    let written = &mut written;
                    async move {
                        inside.store(true, Ordering::SeqCst);
                        freeze();
                        *written = Some(register.write(lease.fence(), "paused"));
                        assert!(lease.check().unwrap_err().is_lost());
                        lease.lost().await;
                        tokio::task::yield_now().await;
                        unreachable!("the work is dropped when the lock is lost");
                    }
                })
                .await;
            (outcome, written)
        })
    };
    super::eventually("the holder is inside", async || inside.load(Ordering::SeqCst)).await;
    // A connection that the two share may be paused with the holder: then one attempt fails, and the next one does not.
    let mut guard = locks(&backend).lock(&name, LONG).await;
    for _ in 0..5 {
        if let Err(Error::Unavailable(_) | Error::TimedOut(_)) = guard {
            guard = locks(&backend).lock(&name, LONG).await;
        }
    }
    let guard = guard.expect("the paused holder's lease runs out");
    assert!(register.write(guard.fence(), "live"));
    let (outcome, written): (Result<(), Error>, _) = joined(paused).await;
    assert!(outcome.unwrap_err().is_lost());
    assert_eq!(written, Some(false), "a write with a lower fence is refused");
    assert_eq!(register.value(), "live");
    guard.release().await.expect("what the paused holder did on its way out touched nothing");
    naive_lock_corrupts_in_the_same_schedule().await;
}

/// `SET NX` with a time to live, `DEL` without an owner, no fence: which the suite must not accept.
#[derive(Default)]
struct Naive(Mutex<Option<Instant>>);

impl Naive {
    async fn lock(&self) {
        loop {
            {
                let mut until = self.0.lock().unwrap();
                if until.is_none_or(|until| until <= Instant::now()) {
                    *until = Some(Instant::now() + TTL);
                    return;
                }
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn unlock(&self) {
        *self.0.lock().unwrap() = None;
    }
}

async fn naive_lock_corrupts_in_the_same_schedule() {
    let (naive, register) = (Arc::new(Naive::default()), Arc::new(Register::default()));
    let inside = Arc::new(AtomicBool::new(false));
    let paused = {
        let (naive, register, inside) = (Arc::clone(&naive), Arc::clone(&register), Arc::clone(&inside));
        on_its_own_thread(move || async move {
            naive.lock().await;
            inside.store(true, Ordering::SeqCst);
            freeze();
            register.write(0, "paused");
            naive.unlock();
        })
    };
    super::eventually("the holder is inside", async || inside.load(Ordering::SeqCst)).await;
    naive.lock().await;
    register.write(0, "live");
    joined(paused).await;
    assert_eq!(register.value(), "paused", "the late write wins over the live holder's");
    assert!(timeout(TTL / 2, naive.lock()).await.is_ok(), "and its unlock let a second one in");
}

/// Stops the thread, and with it its runtime, for longer than a lease.
fn freeze() {
    let (_open, silence) = mpsc::channel::<()>();
    let _ = silence.recv_timeout(TTL * 3);
}

fn on_its_own_thread<T, F, Fut>(work: F) -> thread::JoinHandle<T>
where
    T: Send + 'static,
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = T>,
{
    thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work())
    })
}

async fn joined<T: Send + 'static>(thread: thread::JoinHandle<T>) -> T {
    super::eventually("the thread ends", async || thread.is_finished()).await;
    thread.join().unwrap()
}

/// A backend behind a network that can be cut: nothing is answered then.
#[derive(Debug)]
struct Cut {
    inner: Arc<dyn Backend>,
    cut: AtomicBool,
}

impl Cut {
    async fn pass(&self) {
        if self.cut.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Backend for Cut {
    async fn acquire(&self, request: &Request<'_>) -> Result<Acquired, BoxError> {
        self.pass().await;
        self.inner.acquire(request).await
    }

    async fn renew(&self, name: &str, owner: Owner, ttl: Duration) -> Result<bool, BoxError> {
        self.pass().await;
        self.inner.renew(name, owner, ttl).await
    }

    async fn release(&self, name: &str, owner: Owner) -> Result<bool, BoxError> {
        self.pass().await;
        self.inner.release(name, owner).await
    }

    async fn wait(&self, name: &str, owner: Owner) {
        self.inner.wait(name, owner).await;
    }
}

/// The holder learns of its loss from its own clock, before anybody else can get the lock.
pub async fn unreachable_backend_ends_the_lease(backend: Arc<dyn Backend>) {
    let cut = Arc::new(Cut { inner: Arc::clone(&backend), cut: AtomicBool::new(false) });
    let name = fresh_name();
    let locks_behind = Locks::new(Arc::clone(&cut) as Arc<dyn Backend>, TaskTracker::new(), policy());
    let guard = locks_behind.lock(&name, LONG).await.unwrap();
    cut.cut.store(true, Ordering::SeqCst);
    let other = {
        let (locks, name, lease) = (locks(&backend), name.clone(), guard.lease());
        async move {
            let taken = locks.lock(&name, LONG).await.unwrap();
            (lease.check().is_err(), taken)
        }
    };
    let ((), (lost_before, taken)) = tokio::join!(guard.lost(), other);
    assert!(lost_before, "lost() comes before somebody else is let in");
    assert!(taken.fence() > guard.fence());
    cut.cut.store(false, Ordering::SeqCst);
    assert!(guard.release().await.unwrap_err().is_lost());
    taken.check().expect("the late release did not free it");
}
