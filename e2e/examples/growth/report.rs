//! What was seen, as docs/growth.md has it.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use anyhow::Result;
use e2e::{
    document::between,
    machine::{commit, machine},
    observe::deploy,
};

const MARK: &str = "<!-- measured -->\n";
/// Orders a second that the week is of.
const RATE: f64 = 50.0;
const MIB: f64 = 1_048_576.0;

/// The median of a request.
pub(crate) struct Timing {
    pub(crate) setting: String,
    pub(crate) when: String,
    pub(crate) what: String,
    pub(crate) median: f64,
}

/// A table or a database; of the latter the rows are not counted.
pub(crate) struct Size {
    pub(crate) setting: String,
    pub(crate) when: String,
    pub(crate) name: String,
    pub(crate) rows: i64,
    pub(crate) bytes: i64,
}

/// So many rows that were too old went in that time.
pub(crate) struct Pruned {
    pub(crate) setting: String,
    pub(crate) name: String,
    pub(crate) rows: i64,
    pub(crate) seconds: f64,
    /// How many rows an order leaves.
    pub(crate) of_order: f64,
}

/// All of it.
pub(crate) struct Report {
    orders: i64,
    pub(crate) timings: Vec<Timing>,
    pub(crate) sizes: Vec<Size>,
    pub(crate) pruned: Vec<Pruned>,
}

impl Report {
    pub(crate) fn new(orders: i64) -> Self {
        Self { orders, timings: Vec::new(), sizes: Vec::new(), pruned: Vec::new() }
    }

    /// Prints it and puts it into the document.
    pub(crate) fn write(&self) -> Result<()> {
        let text = self.text()?;
        println!("{text}");
        let file = deploy().join("../docs/growth.md");
        let document = fs::read_to_string(&file)?;
        let (before, _, after) = between(&document, MARK)?;
        Ok(fs::write(file, format!("{before}{text}{after}"))?)
    }

    fn text(&self) -> Result<String> {
        let mut text = format!("\n{} Commit {}. {} orders.\n", machine(), commit(), self.orders);
        text += "\n### Requests\n\nMedian in milliseconds, one client.\n\n";
        text += "| | before | with the week | | pruned | |\n|---|---|---|---|---|---|\n";
        let mut requests: BTreeMap<(&str, &str), BTreeMap<&str, f64>> = BTreeMap::new();
        for one in &self.timings {
            requests.entry((&one.setting, &one.what)).or_default().insert(&one.when, one.median);
        }
        for ((setting, what), at) in requests {
            let [before, after, pruned] =
                ["before", "after", "pruned"].map(|when| at.get(when).copied().unwrap_or_default());
            let (with, without) = (after / before, pruned / before);
            writeln!(
                text,
                "| {setting}: {what} | {before:.2} | {after:.2} | × {with:.2} | {pruned:.2} | × {without:.2} |"
            )?;
        }
        text += "\n### What is too old\n\n";
        text += "| | rows | gone within | rows/s | of what fifty orders a second leave |\n|---|---|---|---|---|\n";
        for Pruned { setting, name, rows, seconds, of_order } in &self.pruned {
            #[allow(clippy::cast_precision_loss, reason = "rows are far below what a number can hold")]
            let rate = *rows as f64 / seconds;
            writeln!(
                text,
                "| {setting}: {name} | {rows} | {seconds:.1} s | {rate:.0} | × {:.0} |",
                rate / RATE / of_order
            )?;
        }
        text += "\n### Sizes\n\nRows, and MiB with indices.\n\n";
        text += "| | before | with the week | pruned |\n|---|---|---|---|\n";
        let mut sizes: BTreeMap<(&str, &str), BTreeMap<&str, String>> = BTreeMap::new();
        for one in &self.sizes {
            #[allow(clippy::cast_precision_loss, reason = "bytes are far below what a number can hold")]
            let mib = one.bytes as f64 / MIB;
            let rows = if one.name.ends_with("in all") { String::new() } else { format!("{}, ", one.rows) };
            sizes.entry((&one.setting, &one.name)).or_default().insert(&one.when, format!("{rows}{mib:.1}"));
        }
        for ((setting, name), at) in sizes {
            let [before, with, pruned] =
                ["before", "with the week", "pruned"].map(|when| at.get(when).map_or("", String::as_str));
            writeln!(text, "| {setting}: {name} | {before} | {with} | {pruned} |")?;
        }
        Ok(text + "\n")
    }
}
