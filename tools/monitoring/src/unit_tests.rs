//! Tests of the rules, as promtool runs them: each alert with what makes it fire and what does not.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::{
    alerts::{Alert, Alerts, KeepFiring},
    burn::{BURNS, Burn},
    promql::needs,
    slo::{Counted, Slo},
};

/// Events in a minute: enough for any alert.
const PER_MINUTE: f64 = 10_000.0;
/// How far beside a threshold is tried.
const ABOVE: f64 = 1.05;
const BELOW: f64 = 0.95;
/// Above the next thresholds, too, when it has stopped for a while.
const FAR_ABOVE: f64 = 1.3;

/// A file of tests.
#[derive(Debug, Serialize)]
pub(crate) struct TestFile {
    rule_files: Vec<String>,
    evaluation_interval: String,
    tests: Vec<Test>,
}

#[derive(Debug, Serialize)]
struct Test {
    name: String,
    interval: String,
    input_series: Vec<Series>,
    #[serde(rename = "promql_expr_test")]
    expectations: Vec<Expectation>,
}

#[derive(Debug, Serialize)]
struct Series {
    series: String,
    values: String,
}

#[derive(Debug, Serialize)]
struct Expectation {
    expr: String,
    eval_time: String,
    exp_samples: Vec<Sample>,
}

#[derive(Debug, Serialize)]
struct Sample {
    labels: String,
    value: f64,
}

/// How many of a hundred events are bad, one span of minutes after the other.
type History = Vec<(u32, f64)>;

/// Of alerts that have their series in `deploy/alerts.yaml`.
pub(crate) fn of_alerts(alerts: &Alerts) -> TestFile {
    let of_alert = |alert| [Some(fires(alert)), Some(silent(alert)), keeps_firing(alert)];
    file("alerts", "1m", alerts.all().flat_map(of_alert).flatten().collect())
}

fn file(rules: &str, interval: &str, tests: Vec<Test>) -> TestFile {
    TestFile { rule_files: vec![format!("../rules/{rules}.yaml")], evaluation_interval: interval.to_owned(), tests }
}

fn selected(labels: &BTreeMap<String, String>) -> String {
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", labels.join(", "))
}

fn of_alert(alert: &Alert, how: &str, series: &BTreeMap<String, String>, expectations: Vec<Expectation>) -> Test {
    let series = series.iter().map(|(series, values)| Series { series: series.clone(), values: values.clone() });
    Test {
        name: format!("{} {how}", alert.alert),
        interval: "1m".to_owned(),
        input_series: series.collect(),
        expectations,
    }
}

/// What fires then, of that alert: it or nothing.
fn at(alert: &Alert, eval_time: &str, fires: bool) -> Expectation {
    let sample = || Sample { labels: format!("ALERTS{}", selected(&alert.firing())), value: 1.0 };
    Expectation {
        expr: format!("ALERTS{{alertname=\"{}\",alertstate=\"firing\"}}", alert.alert),
        eval_time: eval_time.to_owned(),
        exp_samples: fires.then(sample).into_iter().collect(),
    }
}

fn fires(alert: &Alert) -> Test {
    of_alert(alert, "fires", &alert.fires, vec![at(alert, "10m", true)])
}

fn keeps_firing(alert: &Alert) -> Option<Test> {
    let KeepFiring { through, .. } = alert.keep_firing.as_ref()?;
    Some(of_alert(alert, "keeps firing", through, vec![at(alert, "10m", true), at(alert, "20m", false)]))
}

fn silent(alert: &Alert) -> Test {
    let expr = format!("max_over_time(ALERTS{{alertname=\"{}\",alertstate=\"firing\"}}[10m])", alert.alert);
    let expected = Expectation { expr, eval_time: "10m".to_owned(), exp_samples: Vec::new() };
    of_alert(alert, "is silent", &alert.silent, vec![expected])
}

/// The tests of one pair of windows of an objective. Samples come a fifth of the short window apart; rules are
/// evaluated once in each, which is enough for what has no `for`.
pub(crate) fn of_slo(slo: &Slo, burn: Burn) -> Result<TestFile> {
    let step = burn.short.minutes / 5;
    let mut tests = Vec::new();
    for (how, history) in histories(burn) {
        let history: History = history.into_iter().map(|(minutes, rate)| (minutes, rate * slo.budget())).collect();
        let expected = firing(slo, burn, &history)?;
        tests.push(of_history(slo, step, PER_MINUTE, &format!("{} {how}", burn.long.name), &history, expected));
    }
    if burn.long == BURNS[0].long {
        // Six events in the hour, all of them bad.
        let few = vec![(60, 1.0)];
        tests.push(of_history(slo, step, 0.1, "of few events is silent", &few, Vec::new()));
    }
    Ok(file(&slo.file(), &format!("{}m", burn.short.minutes), tests))
}

/// What is tried of a pair of windows: rates of errors in multiples of the budget.
fn histories(Burn { long, short, factor, .. }: Burn) -> [(&'static str, History); 4] {
    [
        ("fires just above", vec![(long.minutes, factor * ABOVE)]),
        ("is silent just below", vec![(long.minutes, factor * BELOW)]),
        ("ends with the short window", vec![(long.minutes, factor * FAR_ABOVE), (2 * short.minutes, 0.0)]),
        ("waits for the long window", vec![(long.minutes, 0.0), (short.minutes, factor * ABOVE)]),
    ]
}

/// Which windows see more than they bear. Their samples begin and end a step away from where the windows do, so that
/// what is near a threshold cannot be told.
fn firing(slo: &Slo, tried: Burn, history: &History) -> Result<Vec<&'static str>> {
    let mut firing = Vec::new();
    // Shorter windows have too few samples, and higher thresholds.
    for burn in BURNS.into_iter().filter(|burn| burn.factor <= tried.factor) {
        let limit = burn.factor * slo.budget();
        let rates = [burn.long, burn.short].map(|window| average(history, window.minutes) / limit);
        let unclear = rates.iter().any(|rate| (0.96..1.04).contains(rate)) && rates.iter().all(|rate| *rate > 0.96);
        ensure!(!unclear, "{} {}: {rates:?} is too near", slo.name, burn.long.name);
        if rates.iter().all(|rate| *rate > 1.0) {
            firing.push(burn.long.name);
        }
    }
    Ok(firing)
}

/// The part of bad events in the last minutes, or in all where there are fewer.
fn average(history: &History, minutes: u32) -> f64 {
    let (mut left, mut bad) = (minutes, 0.0);
    for (span, ratio) in history.iter().rev() {
        let inside = left.min(*span);
        bad += f64::from(inside) * ratio;
        left -= inside;
    }
    bad / f64::from((minutes - left).max(1))
}

fn of_history(slo: &Slo, step: u32, per_minute: f64, how: &str, history: &History, firing: Vec<&str>) -> Test {
    let minutes: u32 = history.iter().map(|(minutes, _)| minutes).sum();
    let sample = |window| Sample { labels: format!("{{window=\"{window}\"}}"), value: 1.0 };
    let expr = format!("count by (window) (ALERTS{{alertname=\"{}\",alertstate=\"firing\"}})", slo.alert());
    let exp_samples = firing.into_iter().map(sample).collect();
    Test {
        name: format!("{} {how}", slo.name),
        interval: format!("{step}m"),
        input_series: of_events(slo, |part| counter(step, per_minute, history, part)),
        expectations: vec![Expectation { expr, eval_time: format!("{minutes}m"), exp_samples }],
    }
}

/// The series of an objective's events; `values` makes those of a counter of the part that it has of all events, by the part
/// of them that is bad.
fn of_events(slo: &Slo, values: impl Fn(fn(f64) -> f64) -> String) -> Vec<Series> {
    let labels = labels_of(&slo.total);
    match &slo.counted {
        Counted::Bad(selector) => {
            let of_bad = labels_of(selector);
            // What tells the bad ones from the others has another value.
            let other = of_bad.keys().map(|name| (name.clone(), "_".to_owned())).chain(labels).collect();
            vec![series(&other, values(|bad| 1.0 - bad)), series(&of_bad, values(|bad| bad))]
        }
        Counted::Good(selector) => {
            let of_good = labels_of(selector);
            let Some(refused) = refused(selector, &slo.total) else {
                return vec![series(&labels, values(|_| 1.0)), series(&of_good, values(|bad| 1.0 - bad))];
            };
            // Half of the bad ones are late, and the others in time, but refused.
            let with = |labels: &BTreeMap<_, _>| labels.clone().into_iter().chain([refused.clone()]).collect();
            vec![
                series(&labels, values(|bad| 1.0 - bad / 2.0)),
                series(&of_good, values(|bad| 1.0 - bad)),
                series(&with(&labels), values(|bad| bad / 2.0)),
                series(&with(&of_good), values(|bad| bad / 2.0)),
            ]
        }
    }
}

/// The labels of a series that a selector selects, with its name.
fn labels_of(selector: &str) -> BTreeMap<String, String> {
    let selectors = needs(selector).selectors;
    let of_one = selectors.into_iter().flat_map(|one| {
        let labels: Vec<_> = one.matchers.iter().filter_map(|m| Some((m.label.clone(), m.example()?))).collect();
        labels.into_iter().chain([("__name__".to_owned(), one.metric)])
    });
    of_one.collect()
}

/// A label, with a value of it for which the one selector does not select a series and the other does.
fn refused(good: &str, total: &str) -> Option<(String, String)> {
    let matchers = |selector| needs(selector).selectors.into_iter().flat_map(|one| one.matchers);
    let counted: Vec<_> = matchers(total).collect();
    let mut own = matchers(good).filter(|matcher| !counted.contains(matcher));
    own.find_map(|matcher| Some((matcher.label.clone(), matcher.counterexample()?)))
}

fn series(labels: &BTreeMap<String, String>, values: String) -> Series {
    let mut labels = labels.clone();
    let name = labels.remove("__name__").unwrap_or_default();
    Series { series: format!("{name}{}", selected(&labels)), values }
}

/// The values of a counter in promtool's notation: from where it stands, so much more at each of so many steps.
fn counter(step: u32, per_minute: f64, history: &History, part: impl Fn(f64) -> f64) -> String {
    let (mut at, mut values) = (0.0, vec!["0".to_owned()]);
    for (minutes, ratio) in history {
        let more = per_minute * f64::from(step) * part(*ratio);
        let steps = minutes / step;
        values.push(format!("{}+{more}x{}", at + more, steps - 1));
        at += more * f64::from(steps);
    }
    values.join(" ")
}
