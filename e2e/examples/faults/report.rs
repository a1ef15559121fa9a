//! What was seen, as docs/faults.md has it: a row of its table, and the lines under a fault's heading.

use std::{collections::BTreeMap, fmt::Write as _, fs, time::Duration};

use anyhow::Result;
use e2e::{
    customers::Asked,
    document::between,
    machine::{commit, machine},
    observe::deploy,
};

use crate::{
    books::Books,
    faults::{ALL, Fault},
    tally::{Phase, Requests},
};

/// Good again within this is what is aimed at.
const GOAL: Duration = Duration::from_secs(5);
const HEAD: [&str; 8] =
    ["fault", "requests while it stood", "500", "good again after", "restarted", "lost of orders", "doubled", "books"];

/// What was seen of a fault; otherwise why it was not tried.
pub(crate) struct Outcome {
    pub(crate) good: Option<Duration>,
    pub(crate) restarts: usize,
    pub(crate) readiness: Vec<String>,
    pub(crate) logs: Vec<String>,
    pub(crate) requests: Requests,
    pub(crate) books: Books,
}

/// Prints it.
pub(crate) fn show(fault: &Fault, outcome: Result<&Outcome, &&'static str>) {
    let cells = cells(outcome);
    println!("{}", fault.title);
    for (head, cell) in HEAD[1..].iter().zip(&cells) {
        println!("  {head}: {cell}");
    }
    println!("{}", details(outcome));
}

/// Puts it into the document.
pub(crate) fn write(fault: &Fault, outcome: Result<&Outcome, &&'static str>) -> Result<()> {
    let file = deploy().join("../docs/faults.md");
    let text = fs::read_to_string(&file)?;
    let (before, table, after) = between(&text, "<!-- faults -->\n")?;
    let mut rows: BTreeMap<&str, String> = BTreeMap::new();
    for row in table.lines() {
        let known = ALL.iter().find(|one| row.starts_with(&format!("| {} |", link(one))));
        rows.extend(known.map(|one| (one.name, row.to_owned())));
    }
    rows.insert(fault.name, format!("| {} | {} |", link(fault), cells(outcome).join(" | ")));
    let mut table = format!("\n{}\n\n| {} |\n|{}\n", machine(), HEAD.join(" | "), "---|".repeat(HEAD.len()));
    for row in ALL.iter().filter_map(|one| rows.get(one.name)) {
        writeln!(table, "{row}")?;
    }
    let text = format!("{before}{table}\n{after}");
    let (before, _, after) = between(&text, &format!("<!-- fault {} -->\n", fault.name))?;
    let measured = format!("\n{}\nMeasured at {}.\n\n", details(outcome), commit());
    Ok(fs::write(file, format!("{before}{measured}{after}"))?)
}

fn link(fault: &Fault) -> String {
    let anchor = fault.title.to_lowercase().replace(',', "").replace(' ', "-");
    format!("[{}](#{anchor})", fault.title)
}

fn cells(outcome: Result<&Outcome, &&'static str>) -> Vec<String> {
    let seen = match outcome {
        Ok(seen) => seen,
        Err(missing) => return std::iter::once(*missing).chain([""; HEAD.len() - 2]).map(str::to_owned).collect(),
    };
    let bold = |is_bad: bool, text: String| if is_bad { format!("**{text}**") } else { text };
    let failed: u64 = seen
        .requests
        .iter()
        .filter(|((phase, _, how), _)| *phase != Phase::Before && how == "500")
        .map(|(_, n)| n)
        .sum();
    let good = seen.good.map_or_else(|| "never".to_owned(), |after| format!("{:.1} s", after.as_secs_f64()));
    vec![
        requests(&seen.requests, Phase::During),
        bold(failed > 0, failed.to_string()),
        bold(seen.good.is_none_or(|after| after > GOAL), good),
        bold(seen.restarts > 0, seen.restarts.to_string()),
        bold(seen.books.lost > 0, format!("{} of {}", seen.books.lost, seen.books.orders)),
        bold(seen.books.doubled > 0, seen.books.doubled.to_string()),
        seen.books.said(),
    ]
}

fn requests(all: &Requests, phase: Phase) -> String {
    let of = |wanted: Asked| {
        let some = all.iter().filter(|((when, asked, _), _)| (*when, *asked) == (phase, wanted));
        some.map(|((_, _, how), n)| format!("{how} × {n}")).collect::<Vec<_>>().join(", ")
    };
    let kinds = [("orders", Asked::Order), ("reads", Asked::Look), ("log-ins", Asked::LogIn)];
    let some = kinds.map(|(name, asked)| (name, of(asked))).into_iter().filter(|(_, said)| !said.is_empty());
    some.map(|(name, said)| format!("{name}: {said}")).collect::<Vec<_>>().join("; ")
}

/// Readiness, logs, and how requests ended afterwards.
fn details(outcome: Result<&Outcome, &&'static str>) -> String {
    let seen = match outcome {
        Ok(seen) => seen,
        Err(missing) => return format!("{missing}\n"),
    };
    let list = |lines: &[String]| lines.iter().map(|line| format!("- {line}\n")).collect::<Vec<_>>().concat();
    let after = requests(&seen.requests, Phase::After);
    let (readiness, logs) = (list(&seen.readiness), list(&seen.logs));
    format!("Readiness:\n\n{readiness}\nThe logs' first lines:\n\n{logs}\nRequests after it was put right: {after}.\n")
}
