//! Runs the contract of the bus on every broker, then 50,000 events through consumers that are killed, and writes
//! docs/conformance.md.
//!
//! `make conformance`. The servers are started here, on loopback; some twenty minutes in all. `-- nats kafka` runs those
//! brokers only, and `-- nats tail` those of its cases whose name has that in it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod brokers;
mod cases;
mod exactly_once;
#[path = "../../tests/crash/place.rs"]
mod place;
mod report;
#[path = "../../tests/crash/store.rs"]
#[expect(dead_code, reason = "who applied an event is for the tests with a canary")]
mod store;
#[path = "../../tests/crash/traps.rs"]
mod traps;
#[path = "../../tests/crash/worker.rs"]
mod worker;

use std::{env, process::ExitCode};

use brokers::Broker;
use report::Column;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if arguments.first().is_some_and(|first| first == worker::ARGUMENTS[0]) {
        runtime.block_on(worker::child());
        return ExitCode::SUCCESS;
    }
    let (slugs, words): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|word| brokers::all().iter().any(|broker| broker.slug == **word));
    let word = words.first().map(|word| word.as_str());
    let asked = |broker: &Broker| slugs.is_empty() || slugs.iter().any(|slug| *slug == broker.slug);
    for broker in brokers::all().into_iter().filter(asked) {
        let version = (broker.version)();
        println!("{} {version}", broker.name);
        let cases = cases::run(&broker, word.unwrap_or_default());
        let failed: Vec<_> = cases.iter().filter_map(|case| Some((&case.name, case.failure.as_ref()?))).collect();
        for (case, why) in &failed {
            println!("  FAILED {case}: {why}");
        }
        if !failed.is_empty() {
            return ExitCode::FAILURE;
        }
        let mut column = Column::new(&broker, &version, &cases);
        if word.is_none() {
            column.add_faults(
                runtime.block_on(exactly_once::restart(&broker)),
                runtime.block_on(exactly_once::fifty_thousand(&broker)),
            );
        }
        report::write(column, word.is_none());
    }
    ExitCode::SUCCESS
}
