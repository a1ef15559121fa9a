//! Objectives, and the rules that follow from them.

use serde::Deserialize;

use crate::{
    burn::{BURNS, Burn, WINDOWS},
    rules::{Group, Labels, Rule, RuleFile, annotations, labels},
};

/// `deploy/slo.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slos {
    /// How many errors an alert needs in its long window.
    pub(crate) least_errors: u32,
    /// The objectives.
    pub slos: Vec<Slo>,
}

/// One objective over 30 days.
#[derive(Debug, Deserialize)]
pub struct Slo {
    /// Its name in labels and, with `ErrorBudgetBurn`, of its alert.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// The service that answers for it: `shop` where all do.
    job: String,
    /// Good events of a hundred.
    objective: f64,
    /// What a good event is.
    pub promise: String,
    /// Why so many.
    reason: String,
    /// What was seen of it by `make drill`.
    measured: String,
    /// Selects the counters of all events.
    pub(crate) total: String,
    #[serde(flatten)]
    pub(crate) counted: Counted,
}

/// The events that are counted beside all of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Counted {
    /// Those that broke the promise.
    Bad(String),
    /// Those that kept it.
    Good(String),
}

impl Slo {
    /// The name of its alert.
    pub fn alert(&self) -> String {
        format!("{}ErrorBudgetBurn", self.name)
    }

    /// What it selects of what is measured.
    pub fn selectors(&self) -> impl Iterator<Item = &str> {
        let (Counted::Bad(counted) | Counted::Good(counted)) = &self.counted;
        [&*self.total, counted].into_iter()
    }

    /// The part of all events that may be bad.
    pub(crate) fn budget(&self) -> f64 {
        // Of a hundred, with at most three digits after the point.
        ((100.0 - self.objective) * 1000.0).round() / 100_000.0
    }

    /// Its name in those of files.
    pub(crate) fn file(&self) -> String {
        format!("slo-{}", self.name.to_lowercase())
    }

    /// What is recorded, and the alerts: a file of its own, so that promtool evaluates no others in a test.
    pub(crate) fn rules(&self, least_errors: u32, runbook: &str) -> RuleFile {
        let recorded =
            |record: String, expr| Rule { record: Some(record), expr, labels: self.labels(), ..Rule::default() };
        let mut rules = vec![
            recorded("slo:objective".to_owned(), format!("vector({})", 1.0 - self.budget())),
            recorded("slo:events:rate5m".to_owned(), self.events("rate", "5m")),
            recorded("slo:errors:rate5m".to_owned(), self.errors("rate", "5m")),
        ];
        for window in WINDOWS {
            rules.push(recorded(format!("slo:errors:ratio_rate{}", window.name), self.ratio(window.name)));
        }
        for Burn { long, .. } in BURNS {
            rules.push(recorded(format!("slo:errors:increase{}", long.name), self.errors("increase", long.name)));
        }
        rules.push(recorded("slo:errors:ratio_rate30d".to_owned(), self.month()));
        rules.push(recorded("slo:error_budget:remaining".to_owned(), self.remaining()));
        rules.extend(BURNS.map(|burn| self.burn(burn, least_errors, runbook)));
        RuleFile { groups: vec![Group { name: self.file(), rules }] }
    }

    fn labels(&self) -> Labels {
        labels([("slo", &self.name), ("job", &self.job)])
    }

    /// The part of all events that was bad, in PromQL. Without events there is none, and nobody is told.
    pub fn ratio(&self, window: &str) -> String {
        format!("{} / ({} > 0)", self.errors("rate", window), self.events("rate", window))
    }

    fn events(&self, function: &str, window: &str) -> String {
        format!("sum({function}({}[{window}]))", self.total)
    }

    /// A counter that has not been born counts as zero.
    fn errors(&self, function: &str, window: &str) -> String {
        let counted = |selector| format!("(sum({function}({selector}[{window}])) or vector(0))");
        match &self.counted {
            Counted::Bad(bad) => counted(bad),
            Counted::Good(good) => format!("({} - {})", self.events(function, window), counted(good)),
        }
    }

    /// Of what is recorded every few seconds: 30 days of the counters themselves would be read anew each time.
    fn month(&self) -> String {
        let average = |record| format!("avg_over_time(slo:{record}:rate5m{{slo=\"{}\"}}[30d])", self.name);
        format!("{} / ({} > 0)", average("errors"), average("events"))
    }

    fn remaining(&self) -> String {
        format!("1 - slo:errors:ratio_rate30d{{slo=\"{}\"}} / {}", self.name, self.budget())
    }

    fn burn(&self, Burn { long, short, factor, severity }: Burn, least_errors: u32, runbook: &str) -> Rule {
        let (name, limit) = (&self.name, format!("{factor} * {}", self.budget()));
        let faster = |window: &str| format!("slo:errors:ratio_rate{window}{{slo=\"{name}\"}} > {limit}");
        let enough = format!("slo:errors:increase{}{{slo=\"{name}\"}} >= {least_errors}", long.name);
        let summary = format!(
            "{}: {{{{ $value | humanizePercentage }}}} of {} broke the promise \"{}\", {factor} times what the budget of 30 \
             days bears, and it goes on.",
            self.title, long.name, self.promise
        );
        Rule {
            alert: Some(self.alert()),
            expr: format!("{} and {} and {enough}", faster(long.name), faster(short.name)),
            labels: labels([("severity", severity), ("window", long.name)]),
            annotations: annotations(&self.alert(), &summary, &self.reason, &self.measured, runbook),
            ..Rule::default()
        }
    }
}
