//! What was measured, as JSON, as docs/performance.md has it, and beside another commit's.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use anyhow::{Context as _, Result};
use e2e::observe::deploy;
use serde::{Deserialize, Serialize};

use crate::{
    load::{Figures, Load},
    scenarios::Scenario,
};

/// Everything of one run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) commit: String,
    pub(crate) machine: String,
    pub(crate) compiler: String,
    pub(crate) rows: Vec<Row>,
    /// By service.
    pub(crate) services: BTreeMap<String, Service>,
    /// Resident MiB by setting, occasion and service.
    pub(crate) memory: Vec<Memory>,
}

/// One scenario under one load.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) setting: String,
    pub(crate) scenario: Scenario,
    pub(crate) load: Load,
    pub(crate) figures: Figures,
    /// Of the least that an answer costs, under the same load in the same run.
    pub(crate) floor: Option<Figures>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Service {
    /// MiB of the binary.
    pub(crate) size: f64,
    /// Milliseconds from exec to ready, on embedded defaults, the median.
    pub(crate) ready: f64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) setting: String,
    pub(crate) when: String,
    /// By service.
    pub(crate) resident: BTreeMap<String, f64>,
}

const HEAD: &str = "| scenario | load | answers/s | per CPU-second | of the floor | p50 ms | p99 | p99.9 | failed |\n\
                    |---|---|---|---|---|---|---|---|---|\n";
const MARK: &str = "<!-- measured -->\n";

impl Report {
    /// Reads one that was written.
    pub(crate) fn read(file: &str) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("{file}: make bench writes one"))?;
        serde_json::from_str(&text).with_context(|| file.to_owned())
    }

    /// Writes the JSON beside the binaries, and the tables into docs/performance.md. Returns the file of the former.
    pub(crate) fn write(&self) -> Result<PathBuf> {
        let folder = e2e::binary("trireme")?.parent().context("no folder")?.join("bench");
        fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{}.json", self.commit));
        fs::write(&file, serde_json::to_string_pretty(self)?)?;
        let page = deploy().join("../docs/performance.md");
        let text = fs::read_to_string(&page)?;
        let mut parts = text.splitn(3, MARK);
        let (before, after) =
            (parts.next().unwrap_or_default(), parts.nth(1).context("docs/performance.md: no marks")?);
        fs::write(page, format!("{before}{MARK}\n{}\n{MARK}{after}", self.tables()?))?;
        Ok(file)
    }

    /// Keeps a row, and prints it.
    pub(crate) fn note(&mut self, row: Row) {
        println!("{}", row.cells());
        self.rows.push(row);
    }

    /// The tables.
    pub(crate) fn tables(&self) -> Result<String> {
        let mut text = format!("{} {}. Commit {}.\n", self.machine, self.compiler, self.commit);
        let mut settings: Vec<&str> = self.rows.iter().map(|row| &*row.setting).collect();
        settings.dedup();
        for setting in settings {
            write!(text, "\n### On {setting}\n\n{HEAD}")?;
            for row in self.rows.iter().filter(|row| row.setting == setting) {
                writeln!(text, "{}", row.cells())?;
            }
        }
        let mut names: Vec<&String> = self.services.keys().collect();
        names.sort();
        let head = names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" | ");
        let rule = "---|".repeat(names.len() + 1);
        write!(text, "\n### Memory, size, start\n\n| | {head} |\n|{rule}\n")?;
        for memory in &self.memory {
            let cells: Vec<String> = names
                .iter()
                .map(|name| memory.resident.get(*name).map_or_else(String::new, |mib| format!("{mib:.0}")))
                .collect();
            writeln!(text, "| resident MiB, {}, {} | {} |", memory.setting, memory.when, cells.join(" | "))?;
        }
        let of = |what: fn(&Service) -> f64| {
            names.iter().map(|name| format!("{:.1}", what(&self.services[*name]))).collect::<Vec<_>>().join(" | ")
        };
        writeln!(text, "| binary, MiB | {} |", of(|service| service.size))?;
        writeln!(text, "| exec to ready, ms | {} |", of(|service| service.ready))?;
        Ok(text)
    }

    /// Each row beside the same row of another report.
    pub(crate) fn beside(&self, other: &Self) -> String {
        let mut text = format!("{} beside {}: each figure, and its ratio to the other's\n", other.commit, self.commit);
        for row in &other.rows {
            let same =
                |one: &&Row| one.setting == row.setting && one.scenario == row.scenario && one.load.is_like(row.load);
            let Some(before) = self.rows.iter().find(same) else { continue };
            let (old, new) = (&before.figures, &row.figures);
            let figure = |new: f64, old: f64| format!("{new:>9.1} {:>5.2}", new / old);
            let _ = writeln!(
                text,
                "{:<9} {:<14} {:<12} {} /s  {} /CPU-s  p99 {} ms",
                row.setting,
                row.scenario.name(),
                row.load.name(),
                figure(new.a_second, old.a_second),
                figure(new.a_cpu_second, old.a_cpu_second),
                figure(new.p99, old.p99),
            );
        }
        for memory in &other.memory {
            let same = |one: &&Memory| one.setting == memory.setting && one.when == memory.when;
            let Some(before) = self.memory.iter().find(same) else { continue };
            for (name, mib) in &memory.resident {
                let old = before.resident.get(name).copied().unwrap_or_default();
                let _ = writeln!(
                    text,
                    "{:<9} {name} resident {}: {mib:.1} MiB {:.2}",
                    memory.setting,
                    memory.when,
                    mib / old
                );
            }
        }
        text
    }
}

impl Row {
    pub(crate) fn cells(&self) -> String {
        let Figures { a_second, a_cpu_second, p50, p99, p999, failed } = &self.figures;
        let floor = self.floor.as_ref().map(|floor| format!("{:.2}", a_cpu_second / floor.a_cpu_second));
        format!(
            "| {} | {} | {a_second:.0} | {a_cpu_second:.0} | {} | {p50:.2} | {p99:.2} | {p999:.2} | {failed} |",
            self.scenario.name(),
            self.load.name(),
            floor.unwrap_or_default(),
        )
    }
}

impl Load {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Closed(1) => "1 client".to_owned(),
            Self::Closed(clients) => format!("{clients} clients"),
            Self::Open(rate) => format!("{rate:.0}/s"),
        }
    }

    /// Whether two loads stand in the same row: what half of the possible is differs from run to run.
    fn is_like(self, other: Self) -> bool {
        self == other || matches!((self, other), (Self::Open(_), Self::Open(_)))
    }
}
