//! The cases of the suites, run on one broker as `cargo test` would, each on a thread of its own.

use std::{
    collections::BTreeSet,
    io::{IsTerminal as _, Write as _},
    panic,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::future::LocalBoxFuture;
use messaging::{
    Bus, Difference, Track,
    suite::{Breakable, Broker as Suite},
};

use super::brokers::Broker;

/// A case by its name, for a broker or for one that may be broken.
struct Case<B: ?Sized> {
    module: &'static str,
    name: &'static str,
    run: for<'a> fn(&'a B) -> LocalBoxFuture<'a, ()>,
}

impl<B: ?Sized> Case<B> {
    fn full_name(&self) -> String {
        format!("{}::{}", self.module, self.name)
    }
}

/// The cases of a list, instead of a test of each.
macro_rules! cases {
    (($list:ident $broker:ty) $base:tt $($module:ident { $($case:ident),+ $(,)? })+) => {
        fn $list() -> Vec<Case<$broker>> {
            vec![$($(cases!(@case $base $module $case)),+),+]
        }
    };
    (@case [$($base:tt)+] $module:ident $case:ident) => {
        Case {
            module: stringify!($module),
            name: stringify!($case),
            run: |broker| Box::pin($($base)+::$module::$case(broker)),
        }
    };
}

messaging::bus_suite! { cases, (bus dyn Suite) }
messaging::tail_suite! { cases, (tail dyn Suite) }
messaging::consumer_suite! { cases, (consumer dyn Suite) }
messaging::death_suite! { cases, (death dyn Suite) }
messaging::faults_suite! { cases, (broken dyn Breakable) }

/// What every broker runs.
fn all() -> Vec<Case<dyn Suite>> {
    [bus(), tail(), consumer(), death()].into_iter().flatten().collect()
}

/// What came of a case.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    /// What the case asked for and the broker does not keep.
    pub(crate) differences: BTreeSet<String>,
    pub(crate) failure: Option<String>,
}

/// Cases under way at the same time, as the test harness has them on a small machine.
const AT_ONCE: usize = 2;

/// Runs the cases of a broker whose name has a word in it.
pub(crate) fn run(broker: &Broker, word: &str) -> Vec<Outcome> {
    panic::set_hook(Box::new(|_| {}));
    let (mut all, mut faults) = (all(), if broker.alone.is_some() { broken() } else { Vec::new() });
    all.retain(|case| case.full_name().contains(word));
    faults.retain(|case| case.full_name().contains(word));
    let (count, started) = (all.len() + faults.len(), Instant::now());
    all.reverse();
    faults.reverse();
    let (left, done) = (Mutex::new((all, faults)), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = {
                        let mut left = left.lock().unwrap();
                        left.0.pop().map(Next::Plain).or_else(|| left.1.pop().map(Next::Broken))
                    };
                    let Some(next) = next else { return };
                    let outcome = one(broker, &next);
                    let mut done = done.lock().unwrap();
                    done.push(outcome);
                    progress(&done, count, started.elapsed());
                }
            });
        }
    });
    println!();
    drop(panic::take_hook());
    done.into_inner().unwrap()
}

enum Next {
    Plain(Case<dyn Suite>),
    Broken(Case<dyn Breakable>),
}

fn one(broker: &Broker, next: &Next) -> Outcome {
    let asked = Asked::default();
    let name = match next {
        Next::Plain(case) => case.full_name(),
        Next::Broken(case) => case.full_name(),
    };
    let work = async {
        match next {
            Next::Plain(case) => (case.run)(&Watched((broker.shared)().await, Arc::clone(&asked))).await,
            Next::Broken(case) => {
                let alone = broker.alone.expect("only where there is one");
                (case.run)(&*alone().await).await;
            }
        }
    };
    let run = panic::AssertUnwindSafe(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work);
    });
    let failure = panic::catch_unwind(run).err().map(|panic| {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        text.unwrap_or("panicked").to_owned()
    });
    let differences = std::mem::take(&mut *asked.lock().unwrap());
    Outcome { name, differences, failure }
}

fn progress(done: &[Outcome], count: usize, took: Duration) {
    let failed = done.iter().filter(|outcome| outcome.failure.is_some()).count();
    let line = format!("  {} of {count} cases in {} s, {failed} failed", done.len(), took.as_secs());
    if std::io::stdout().is_terminal() {
        print!("\r{line}");
        drop(std::io::stdout().flush());
    } else if done.len() == count {
        print!("{line}");
    }
}

/// What a case asked for and the broker does not keep.
type Asked = Arc<Mutex<BTreeSet<String>>>;

/// A broker that remembers which of its differences a case asked for.
struct Watched(Box<dyn Suite>, Asked);

#[async_trait]
impl Suite for Watched {
    async fn open_on(&self, lease: Duration, track: Track) -> Arc<dyn Bus> {
        self.0.open_on(lease, track).await
    }

    fn differs(&self, difference: Difference) -> bool {
        let differs = self.0.differs(difference);
        if differs {
            self.1.lock().unwrap().insert(difference.to_string());
        }
        differs
    }
}
