//! What was seen, as a part of docs/runbook.md.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use anyhow::{Context as _, Result};
use e2e::observe::deploy;
use monitoring::{Bound, Sources};

use crate::{
    incidents::{Fault, Incident},
    watch::Fired,
};

/// One incident.
pub(crate) struct Report<'a> {
    pub(crate) incident: &'a Incident,
    pub(crate) sources: &'a Sources,
    /// A second, before the fault.
    pub(crate) orders: f64,
    pub(crate) alerts: BTreeMap<String, Fired>,
    /// Of an objective's alert: the part of events that was bad during the fault.
    pub(crate) bad: BTreeMap<String, f64>,
    /// Of an alert: the furthest that its measure went.
    pub(crate) most: BTreeMap<String, f64>,
    pub(crate) trace: String,
}

impl Report<'_> {
    /// Puts it between its marks.
    pub(crate) fn write(&self) -> Result<()> {
        let (file, text) = (deploy().join("../docs/runbook.md"), self.text()?);
        let runbook = fs::read_to_string(&file)?;
        let (begin, end) = (format!("<!-- drill {} -->\n", self.incident.name), "<!-- end -->");
        let (before, rest) = runbook.split_once(&begin).with_context(|| format!("the runbook has no {begin}"))?;
        let (_, after) = rest.split_once(end).with_context(|| format!("the runbook has no {end} after {begin}"))?;
        println!("{text}");
        Ok(fs::write(file, format!("{before}{begin}\n{text}\n{end}{after}"))?)
    }

    fn text(&self) -> Result<String> {
        let build = if cfg!(debug_assertions) { "debug" } else { "release" };
        let mut text = format!("{:.1} orders a second before it, {build} builds.\n\n", self.orders);
        if self.incident.fault == Fault::Nothing {
            text += "| alert | fires | measured |\n|---|---|---|\n";
            for bound in self.sources.bounds() {
                let fired = if self.alerts.contains_key(&bound.alert) { "**fired**, " } else { "" };
                writeln!(text, "| {} | {} | {fired}{} |", bound.alert, threshold(&bound), self.most(&bound.alert))?;
            }
        } else {
            text += "| alert | fires | measured | fired after | over after the end |\n|---|---|---|---|---|\n";
            for alert in self.rows() {
                self.row(&mut text, &alert)?;
            }
            write!(text, "\n```text\n{}\n```\n", self.trace)?;
        }
        Ok(text)
    }

    /// What fired, by time, and then what did not.
    fn rows(&self) -> Vec<String> {
        let mut fired: Vec<_> = self.alerts.iter().collect();
        fired.sort_by(|(_, a), (_, b)| a.first.total_cmp(&b.first));
        let silent = self.incident.thinkable.iter().filter(|name| !self.alerts.contains_key(**name));
        fired.into_iter().map(|(name, _)| name.clone()).chain(silent.map(|name| (*name).to_owned())).collect()
    }

    fn row(&self, text: &mut String, alert: &str) -> Result<()> {
        let bounds = self.sources.bounds();
        let limit = bounds.iter().find(|bound| bound.alert == alert).map(threshold).unwrap_or_default();
        let (fired, over) = match self.alerts.get(alert) {
            None => ("**silent**".to_owned(), String::new()),
            Some(Fired { first, over }) => {
                let over = over.map_or_else(|| "still fires".to_owned(), |seconds| format!("{seconds:.0} s"));
                (format!("{first:.0} s{}", self.after_good_times(alert)), over)
            }
        };
        Ok(writeln!(text, "| {alert} | {limit} | {} | {fired} | {over} |", self.most(alert))?)
    }

    /// Prometheus was new, and its windows had seen nothing but a minute before: what it would be after good times.
    fn after_good_times(&self, alert: &str) -> String {
        let slo = self.sources.slos.slos.iter().find(|slo| slo.alert() == alert);
        let minutes = slo.zip(self.bad.get(alert)).and_then(|(slo, bad)| slo.minutes_to_tell(*bad));
        minutes.map(|minutes| format!("; {minutes:.0} min with full windows")).unwrap_or_default()
    }

    fn most(&self, alert: &str) -> String {
        self.most.get(alert).map(|value| figure(*value)).unwrap_or_default()
    }
}

fn threshold(bound: &Bound) -> String {
    format!("{} {}", if bound.above { "above" } else { "below" }, bound.threshold.replace(" * ", " × "))
}

fn figure(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        0.0..1.0 => format!("{value:.3}"),
        1.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
