//! What watches the system, made of what is promised.
//!
//! `deploy/slo.yaml` has the objectives, `deploy/alerts.yaml` the other alerts, `deploy/dashboards.yaml` the panels.
//! [`files`] makes of them what Prometheus, promtool and Grafana read. The files are in git, and the tests of this crate
//! compare them: `UPDATE=1 cargo test -p trireme-monitoring` writes them anew.
#![warn(missing_docs)]

mod alerts;
mod bounds;
mod burn;
mod dashboards;
pub mod promql;
mod rules;
mod slo;
mod unit_tests;

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use serde::{Serialize, de::DeserializeOwned};

pub use alerts::{Alert, Alerts};
pub use bounds::Bound;
pub use dashboards::{Dashboard, Dashboards, Panel, Query, Row};
pub use slo::{Slo, Slos};

/// What stands at the head of each YAML file that is made.
const HEAD: &str = "# Made of deploy/slo.yaml and deploy/alerts.yaml: UPDATE=1 cargo test -p trireme-monitoring\n";

/// The three files that people write.
#[derive(Debug)]
pub struct Sources {
    /// `deploy/slo.yaml`.
    pub slos: Slos,
    /// `deploy/alerts.yaml`.
    pub alerts: Alerts,
    /// `deploy/dashboards.yaml`.
    pub dashboards: Dashboards,
}

impl Sources {
    /// Reads them from the folder `deploy`.
    ///
    /// # Errors
    /// A file is missing or is not of its form; the error names it.
    pub fn read(deploy: &Path) -> Result<Self> {
        Ok(Self {
            slos: read(&deploy.join("slo.yaml"))?,
            alerts: read(&deploy.join("alerts.yaml"))?,
            dashboards: read(&deploy.join("dashboards.yaml"))?,
        })
    }

    /// The names of all alerts, in the order of the files; each has a section in `docs/runbook.md`.
    pub fn alert_names(&self) -> Vec<String> {
        let budgets = self.slos.slos.iter().map(Slo::alert);
        budgets.chain(self.alerts.all().map(|alert| alert.alert.clone())).collect()
    }

    /// What is compared with a threshold, alert by alert in the order of the files; not what is measured outside of the
    /// system, nor what is there or not there.
    pub fn bounds(&self) -> Vec<Bound> {
        let budgets = self.slos.slos.iter().map(Bound::of_slo);
        budgets.chain(self.alerts.all().filter(|alert| alert.from.is_none()).filter_map(Bound::of_alert)).collect()
    }

    /// Every expression that reads what others measure, with where it stands: of objectives, alerts and panels. Those of
    /// alerts on what is measured outside of the system ([`Alert::from`]) are not among them.
    pub fn expressions(&self) -> Vec<(String, String)> {
        let slos = self.slos.slos.iter().flat_map(|slo| slo.selectors().map(|one| (slo.name.clone(), one.to_owned())));
        let records = self.alerts.records().map(|(name, expr)| (name.to_owned(), expr.to_owned()));
        let own = self.alerts.all().filter(|alert| alert.from.is_none());
        let alerts = own.map(|alert| (alert.alert.clone(), alert.expr.clone()));
        let panels = self.dashboards.dashboards.iter().flat_map(Dashboard::expressions);
        slos.chain(records).chain(alerts).chain(panels).collect()
    }
}

fn read<T: DeserializeOwned>(file: &Path) -> Result<T> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_norway::from_str(&text).with_context(|| file.display().to_string())
}

fn yaml(value: &impl Serialize) -> Result<String> {
    Ok(format!("{HEAD}{}", serde_norway::to_string(value)?))
}

/// What is made, by the path below `deploy`.
///
/// # Errors
/// A panel or an objective cannot be made; the error names it.
pub fn files(sources: &Sources) -> Result<BTreeMap<String, String>> {
    let Sources { slos, alerts, dashboards } = sources;
    let mut files = BTreeMap::from([
        ("prometheus/rules/alerts.yaml".to_owned(), yaml(&alerts.rules())?),
        ("prometheus/tests/alerts.yaml".to_owned(), yaml(&unit_tests::of_alerts(alerts))?),
    ]);
    for slo in &slos.slos {
        let (name, rules) = (slo.file(), slo.rules(slos.least_errors, &alerts.runbook));
        files.insert(format!("prometheus/rules/{name}.yaml"), yaml(&rules)?);
        for burn in burn::BURNS {
            let tests = unit_tests::of_slo(slo, burn)?;
            files.insert(format!("prometheus/tests/{name}-{}.yaml", burn.long.name), yaml(&tests)?);
        }
    }
    for dashboard in &dashboards.dashboards {
        let text = serde_json::to_string_pretty(&dashboard.to_grafana())? + "\n";
        files.insert(format!("grafana/dashboards/{}.json", dashboard.uid), text);
    }
    Ok(files)
}
