//! docs/conformance.md has every case of the contract: who adds one runs `make conformance`.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::{collections::BTreeSet, fs, path::Path};

use messaging::Difference;

/// The names of a list's cases.
macro_rules! names {
    ($list:ident $base:tt $($module:ident { $($case:ident),+ $(,)? })+) => {
        const $list: &[&str] = &[$($(concat!(stringify!($module), "::", stringify!($case))),+),+];
    };
}

messaging::bus_suite! { names, BUS }
messaging::tail_suite! { names, TAIL }
messaging::consumer_suite! { names, CONSUMER }
messaging::death_suite! { names, DEATH }
messaging::faults_suite! { names, FAULTS }

const ADAPTERS: [(&str, &[Difference]); 4] = [
    ("embedded", sqlite::DIFFERENCES),
    ("NATS", nats::DIFFERENCES),
    ("Kafka", kafka::DIFFERENCES),
    ("RabbitMQ", rabbitmq::DIFFERENCES),
];

#[test]
fn the_table_has_every_case_and_the_differences_that_adapters_state() {
    let cases: BTreeSet<&str> = [BUS, TAIL, CONSUMER, DEATH, FAULTS].concat().into_iter().collect();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance.md");
    let text = fs::read_to_string(file).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let rows: Vec<(&str, Vec<&str>)> =
        rows.map(|(case, cells)| (case, cells.trim_end_matches(" |").split(" | ").collect())).collect();
    let told: BTreeSet<&str> = rows.iter().map(|(case, _)| *case).collect();
    assert_eq!(told, cases, "run `make conformance`");
    for (nth, (name, differences)) in ADAPTERS.into_iter().enumerate() {
        let known: BTreeSet<String> = differences.iter().map(ToString::to_string).collect();
        let cells = rows.iter().map(|(_, cells)| cells[nth]).filter(|cell| !matches!(*cell, "yes" | "–"));
        let used: BTreeSet<String> = cells.flat_map(|cell| cell.split(", ").map(str::to_owned)).collect();
        assert_eq!(used, known, "{name}: run `make conformance`");
    }
}
