//! docs/conformance.md: a column for each broker.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    brokers::{self, Broker},
    cases::Outcome,
    exactly_once::Applied,
};

const FILE: &str = "docs/conformance.md";
/// The rows of the second table.
const SAID: [&str; 3] = ["order with a canary", "deliveries that count", "repetitions recognised"];
const RESTART: &str = "from the first answer of a server that was killed to the next event applied";
/// The rows of the third.
const FIGURES: [&str; 3] = ["events applied, each once and in order", "kills", "seconds"];

/// What one broker has shown: its name with its version, and a cell for each row of the tables.
pub(crate) struct Column {
    head: String,
    cells: BTreeMap<String, String>,
}

impl Column {
    /// With what came of its cases.
    pub(crate) fn new(broker: &Broker, version: &str, cases: &[Outcome]) -> Self {
        let mut cells: BTreeMap<String, String> =
            cases.iter().map(|case| (format!("`{}`", case.name), cell(case))).collect();
        cells.extend(SAID.into_iter().zip(broker.said).map(|(row, said)| (row.to_owned(), said.to_owned())));
        Self { head: format!("{} {version}", broker.name), cells }
    }

    /// Adds what a restart costs, where there is a server, and what came of much work under kills.
    pub(crate) fn add_faults(&mut self, restart: Option<Duration>, applied: Applied) {
        println!("  {applied}");
        let restart =
            restart.map_or_else(|| "there is no server".to_owned(), |took| format!("{:.1} s", took.as_secs_f64()));
        self.cells.insert(RESTART.to_owned(), restart);
        let figures = [applied.events.to_string(), applied.kills.to_string(), applied.took.as_secs().to_string()];
        self.cells.extend(FIGURES.map(str::to_owned).into_iter().zip(figures));
    }
}

fn cell(case: &Outcome) -> String {
    if case.failure.is_some() {
        "**failed**".to_owned()
    } else if case.differences.is_empty() {
        "yes".to_owned()
    } else {
        case.differences.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(FILE)
}

/// Writes the document with this column and the others as they are: in place of what there was where it is `whole`, else
/// with what it has in addition.
pub(crate) fn write(mut fresh: Column, whole: bool) {
    let mut known = read(&fs::read_to_string(file()).unwrap_or_default());
    if let Some(before) = known.iter().position(|column| column.head == fresh.head) {
        let before = known.remove(before);
        if !whole {
            let added = std::mem::replace(&mut fresh.cells, before.cells);
            fresh.cells.extend(added);
        }
    }
    known.insert(0, fresh);
    let columns: Vec<Column> = brokers::all()
        .iter()
        .filter_map(|broker| {
            let at = known.iter().position(|column| column.head.starts_with(broker.name))?;
            Some(known.remove(at))
        })
        .collect();
    let cases: BTreeSet<&str> = columns
        .iter()
        .flat_map(|column| column.cells.keys())
        .filter(|row| row.starts_with('`'))
        .map(String::as_str)
        .collect();
    let cases: Vec<&str> = cases.into_iter().collect();
    let text = [
        INTRODUCTION,
        &table("case", &cases, &columns),
        DIFFERENCES,
        &table("", &[SAID.as_slice(), &[RESTART]].concat(), &columns),
        EXACTLY_ONCE,
        &table("", &FIGURES, &columns),
    ];
    fs::write(file(), text.concat()).unwrap_or_else(|error| panic!("{FILE} cannot be written: {error}"));
    println!("{FILE} is written");
}

fn table(first: &str, rows: &[&str], columns: &[Column]) -> String {
    let line = |first: &str, of: &dyn Fn(&Column) -> String| {
        let cells: Vec<String> = std::iter::once(first.to_owned()).chain(columns.iter().map(of)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut text = line(first, &|column| column.head.clone()) + &line("---", &|_| "---".to_owned());
    for row in rows {
        text += &line(row, &|column| column.cells.get(*row).map_or("–", String::as_str).to_owned());
    }
    text
}

/// The columns of a document that this has written.
fn read(text: &str) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let is_head = matches!(cells[0], "case" | "") && cells.len() > 1;
        if is_head && columns.is_empty() {
            columns =
                cells[1..].iter().map(|head| Column { head: (*head).to_owned(), cells: BTreeMap::new() }).collect();
        } else if !is_head && !columns.is_empty() && cells.len() == columns.len() + 1 && cells[1] != "---" {
            for (column, cell) in columns.iter_mut().zip(&cells[1..]) {
                column.cells.insert(cells[0].to_owned(), (*cell).to_owned());
            }
        }
    }
    for column in &mut columns {
        column.cells.retain(|_, cell| cell != "–");
    }
    columns
}

const INTRODUCTION: &str = "\
# Conformance

`make conformance` has written this: one contract (`crates/messaging/src/suite`), its cases on each broker, on one machine of
two cores in a debug build; `make conformance BROKER=kafka` writes one column anew.
*yes*: kept in full. Other words: kept but for that named difference, which the adapter states (`DIFFERENCES`). *–*: there is
no server that could be broken.

";

const DIFFERENCES: &str = "
## What differs

| difference | what a broker that has it does not keep |
|---|---|
| what was read ahead counts | the broker itself counts deliveries, so what a member has read and given back untried counts for the next |
| marked events are in order apart | events that are marked for the canary are a partition of their own: a key\u{2019}s marked and unmarked events are not in order with each other |
| what was in hand is blamed | of all that was in the hands of a member that died, each counts as what it may have died of |
| the broker assigns | the broker alone decides which member has which events: a member that drains keeps them from others until it is done, and so does one with what it does not handle |

";

const EXACTLY_ONCE: &str = "
## Applied once

Two processes count, publish through their outbox, apply through their inbox and answer what they applied, while one of them
after the other is killed with SIGKILL (`crates/backends/examples/conformance/exactly_once.rs`; PostgreSQL beside the
brokers).

";
