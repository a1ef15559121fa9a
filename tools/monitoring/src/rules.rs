//! Files of rules as Prometheus reads them.

use std::collections::BTreeMap;

use serde::Serialize;

/// Label or annotation by name.
pub(crate) type Labels = BTreeMap<String, String>;

/// One file of rules.
#[derive(Debug, Serialize)]
pub(crate) struct RuleFile {
    pub(crate) groups: Vec<Group>,
}

/// Rules that are evaluated one after the other.
#[derive(Debug, Serialize)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) rules: Vec<Rule>,
}

/// What is recorded under a name, or an alert.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Rule {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) record: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alert: Option<String>,
    pub(crate) expr: String,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub(crate) pending: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keep_firing_for: Option<String>,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub(crate) labels: Labels,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub(crate) annotations: Labels,
}

/// Labels of pairs.
pub(crate) fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// What is written beside each alert: what it says, why it has its threshold and what was seen of that, and where its
/// section in the runbook is.
pub(crate) fn annotations(alert: &str, summary: &str, reason: &str, measured: &str, runbook: &str) -> Labels {
    let section = format!("{runbook}#{}", alert.to_lowercase());
    labels([("summary", summary), ("reason", reason), ("measured", measured), ("runbook_url", &section)])
}
