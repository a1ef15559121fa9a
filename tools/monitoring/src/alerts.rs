//! Alerts beside those of the objectives.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::rules::{Group, Labels, Rule, RuleFile, annotations, labels};

/// `deploy/alerts.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    /// Where the runbook is, without the section.
    pub(crate) runbook: String,
    groups: Vec<AlertGroup>,
}

/// Alerts on one subject.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AlertGroup {
    name: String,
    #[serde(default)]
    records: Vec<Record>,
    alerts: Vec<Alert>,
}

/// What several alerts or panels read, under a name of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    record: String,
    expr: String,
}

/// One alert.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// Its name.
    pub alert: String,
    /// `page` wakes somebody, `ticket` waits for the day.
    severity: String,
    /// Who measures it, where that is not the system itself.
    pub from: Option<String>,
    /// When it is true.
    pub(crate) expr: String,
    /// How long it has to be.
    #[serde(rename = "for")]
    pub(crate) pending: Option<String>,
    /// That it fires on for a while, where its measure may be missing once and `for` would begin anew.
    pub keep_firing: Option<KeepFiring>,
    /// What is said then; a template.
    summary: String,
    /// Why it has this threshold.
    reason: String,
    /// What was seen of it by `make drill`, or why it cannot be.
    measured: String,
    /// The labels of what fires in the test, beside the severity.
    #[serde(default)]
    pub(crate) labels: Labels,
    /// Series, sampled each minute, of which it fires after ten minutes.
    pub(crate) fires: BTreeMap<String, String>,
    /// Series of which it does not, at no minute of the ten.
    pub(crate) silent: BTreeMap<String, String>,
}

/// How long an alert fires on when it is no longer true.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeepFiring {
    /// How long.
    #[serde(rename = "for")]
    pub(crate) time: String,
    /// Series, sampled each minute, of which it still fires after ten minutes, and no longer after twenty.
    pub(crate) through: BTreeMap<String, String>,
}

impl Alerts {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Alert> {
        self.groups.iter().flat_map(|group| &group.alerts)
    }

    /// What is recorded, with its name.
    pub(crate) fn records(&self) -> impl Iterator<Item = (&str, &str)> {
        self.groups.iter().flat_map(|group| &group.records).map(|one| (&*one.record, &*one.expr))
    }

    pub(crate) fn rules(&self) -> RuleFile {
        let group = |group: &AlertGroup| {
            let records = group.records.iter().map(Record::rule);
            let alerts = group.alerts.iter().map(|alert| alert.rule(&self.runbook));
            Group { name: group.name.clone(), rules: records.chain(alerts).collect() }
        };
        RuleFile { groups: self.groups.iter().map(group).collect() }
    }
}

impl Record {
    fn rule(&self) -> Rule {
        Rule { record: Some(self.record.clone()), expr: self.expr.clone(), ..Rule::default() }
    }
}

impl Alert {
    fn rule(&self, runbook: &str) -> Rule {
        Rule {
            alert: Some(self.alert.clone()),
            expr: self.expr.clone(),
            pending: self.pending.clone(),
            keep_firing_for: self.keep_firing.as_ref().map(|keep| keep.time.clone()),
            labels: labels([("severity", &self.severity)]),
            annotations: annotations(&self.alert, &self.summary, &self.reason, &self.measured, runbook),
            ..Rule::default()
        }
    }

    /// Whether it waits (`for`) for what one failed scrape takes away: a value of now. What is read of a window, or was
    /// recorded of one, stays.
    pub fn may_flicker(&self) -> bool {
        self.pending.is_some() && !self.expr.contains(['[', ':'])
    }

    /// The series `ALERTS` of one that fires in the test.
    pub(crate) fn firing(&self) -> Labels {
        let own = [("alertname", &*self.alert), ("alertstate", "firing"), ("severity", &self.severity)];
        labels(own).into_iter().chain(self.labels.clone()).collect()
    }
}
