//! What was checked, and what was found.

use crate::output::{bold, dim, mark};

/// The most findings of one check that are shown.
const SHOWN: usize = 100;

/// One thing that has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether it does.
    pub holds: bool,
    /// The figures.
    pub detail: String,
    /// Each thing that is wrong, with its ids.
    pub findings: Vec<String>,
}

impl Check {
    pub(super) fn new(name: &'static str, holds: bool, detail: String) -> Self {
        Self { name, holds, detail, findings: Vec::new() }
    }

    /// Holds where nothing was found.
    pub(super) fn of(name: &'static str, findings: Vec<String>, detail: String) -> Self {
        Self { name, holds: findings.is_empty(), detail, findings }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report(pub(super) Vec<Check>);

impl Report {
    /// Everything that was checked.
    pub fn checks(&self) -> &[Check] {
        &self.0
    }

    /// Adds a check.
    pub fn add(&mut self, check: Check) {
        self.0.push(check);
    }

    /// Whether everything holds.
    pub fn holds(&self) -> bool {
        self.0.iter().all(|check| check.holds)
    }

    /// A table; below each check what it found.
    pub fn lines(&self) -> Vec<String> {
        let width = self.0.iter().map(|check| check.name.chars().count()).max().unwrap_or_default();
        let row = |check: &Check| {
            let detail = if check.holds { dim(&check.detail) } else { bold(&check.detail) };
            let head = format!("  {} {:<width$}  {detail}", mark(check.holds), check.name);
            let findings = check.findings.iter().take(SHOWN).map(|finding| format!("      {finding}"));
            let more = check.findings.len().saturating_sub(SHOWN);
            let rest = (more > 0).then(|| format!("      and {more} more"));
            std::iter::once(head).chain(findings).chain(rest).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(row).collect()
    }
}
