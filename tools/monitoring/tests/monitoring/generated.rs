//! What is in git is what would be made, and nothing else; names that are read are recorded.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
};

use monitoring::{files, promql::needs};

use crate::{root, sources};

/// Folders with nothing but what is made.
const FOLDERS: [&str; 3] = ["prometheus/rules", "prometheus/tests", "grafana/dashboards"];

fn found() -> BTreeMap<String, String> {
    let read = |folder: &&str| {
        let all = fs::read_dir(root().join("deploy").join(folder)).unwrap();
        let one = |entry: fs::DirEntry| {
            let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            (name, fs::read_to_string(entry.path()).unwrap())
        };
        all.map(|entry| one(entry.unwrap())).collect::<Vec<_>>()
    };
    FOLDERS.iter().flat_map(read).collect()
}

#[test]
fn files_are_as_they_are_made() {
    let made = files(&sources()).unwrap();
    if env::var_os("UPDATE").is_some_and(|value| value == "1") {
        for (name, text) in &made {
            fs::write(root().join("deploy").join(name), text).unwrap();
        }
    }
    let found = found();
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&found), names(&made));
    for (name, text) in made {
        assert!(found[&name] == text, "deploy/{name} is not what is made: UPDATE=1 writes it");
    }
}

/// What has a colon in its name is recorded by a rule, and what is recorded is read by somebody.
#[test]
fn what_is_read_is_recorded() {
    let rules: Vec<_> = files(&sources()).unwrap().into_iter().filter(|(name, _)| name.contains("/rules/")).collect();
    let lines = |field: &str| -> Vec<String> {
        let of = |text: &str| -> Vec<String> {
            let lines = text.lines().map(|line| line.trim_start().trim_start_matches("- "));
            lines.filter_map(|line| Some(line.strip_prefix(field)?.to_owned())).collect()
        };
        rules.iter().flat_map(|(_, text)| of(text)).collect()
    };
    let recorded: BTreeSet<_> = lines("record: ").into_iter().collect();
    let panels = sources().expressions().into_iter().map(|(_, expression)| expression);
    let expressions = lines("expr: ").into_iter().chain(panels);
    let read = expressions.flat_map(|expression| needs(&expression).selectors).map(|one| one.metric);
    let read: BTreeSet<_> = read.filter(|metric| metric.contains(':')).collect();
    assert_eq!(read.difference(&recorded).collect::<Vec<_>>(), Vec::<&String>::new(), "read and not recorded");
    assert_eq!(recorded.difference(&read).collect::<Vec<_>>(), Vec::<&String>::new(), "recorded and not read");
}

#[test]
fn an_alert_has_one_meaning() {
    let names = sources().alert_names();
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len(), "{names:?}");
}

/// A trace is kept because it is slow from the moment at which the objective calls it slow, and spans are counted with
/// that bound.
#[test]
fn the_collector_keeps_what_the_objective_calls_slow() {
    let config = fs::read_to_string(root().join("deploy/otel-collector/config.yaml")).unwrap();
    let objectives = fs::read_to_string(root().join("deploy/slo.yaml")).unwrap();
    let threshold: f64 = config.split("threshold_ms: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(objectives.contains(&format!("http_route=\"/v1/orders\",le=\"{}\"", threshold / 1000.0)), "{threshold}");
    assert!(config.contains(&format!(" {threshold}ms,")), "no bucket of {threshold} ms");
}

#[test]
fn what_one_failed_scrape_would_silence_keeps_firing() {
    for alert in sources().alerts.all() {
        assert_eq!(alert.keep_firing.is_some(), alert.may_flicker(), "{}", alert.alert);
    }
}
