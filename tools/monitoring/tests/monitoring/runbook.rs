//! docs/runbook.md: a section for each alert, and what has to be in it.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{root, sources};

/// What each section says, in this order.
const PARTS: [&str; 4] = ["**It means**", "**Look**", "**Mend**", "**Mended**"];
/// How many commands come first.
const COMMANDS: usize = 3;

/// The sections by their heading.
fn sections() -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("docs/runbook.md")).unwrap();
    let of = |section: &str| {
        let (heading, body) = section.split_once('\n').unwrap();
        (heading.to_owned(), body.to_owned())
    };
    // Two words are no alert.
    text.split("\n## ").skip(1).map(of).filter(|(heading, _)| !heading.contains(' ')).collect()
}

#[test]
fn every_alert_has_its_section_and_every_section_its_alert() {
    let alerts: BTreeSet<_> = sources().alert_names().into_iter().collect();
    let headings: Vec<_> = sections().into_iter().map(|(heading, _)| heading).collect();
    assert_eq!(headings.iter().cloned().collect::<BTreeSet<_>>(), alerts);
    assert_eq!(headings.len(), alerts.len(), "{headings:?}");
}

#[test]
fn a_section_says_what_it_is_where_to_look_how_to_mend_it_and_how_to_tell() {
    for (heading, body) in sections() {
        let places: Vec<_> = PARTS.iter().map(|part| body.find(part)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{heading}: {PARTS:?} at {places:?}");
        let commands = body.split("```sh\n").nth(1).and_then(|block| block.split("```").next());
        let commands = commands.unwrap_or_else(|| panic!("{heading}: no commands"));
        assert_eq!(commands.lines().count(), COMMANDS, "{heading}: {commands}");
    }
}

/// What stands behind a tick, has words, and is no command of these.
const PROGRAMS: [&str; 5] = ["trireme", "helm", "kubectl", "user", "otelcol"];

/// The text of every source of a service, or of a crate that it is made of.
fn sources_of(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources_of(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// Who looks for a line at night finds it.
#[test]
fn lines_that_are_quoted_are_written_by_somebody() {
    let mut written = String::new();
    for folder in ["crates", "services"] {
        sources_of(&root().join(folder), &mut written);
    }
    let is_line = |quoted: &&str| {
        let words = quoted.contains(' ') && quoted.chars().all(|c| c.is_ascii_lowercase() || " '".contains(c));
        words && !PROGRAMS.contains(&quoted.split(' ').next().unwrap())
    };
    for (heading, body) in sections() {
        let (_, mend) = body.split_once("**Mend**").unwrap();
        for line in mend.split('`').skip(1).step_by(2).filter(is_line) {
            assert!(written.contains(line), "{heading}: nobody writes `{line}`");
        }
    }
}

/// The tables of the drill have an alert in each row.
#[test]
fn what_the_drill_tells_of_are_alerts() {
    let text = fs::read_to_string(root().join("docs/runbook.md")).unwrap();
    let drill = text.split_once("\n## Incident drill\n").unwrap().1;
    let rows = drill.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let named: BTreeSet<_> = rows.filter(|cell| *cell != "alert").map(str::to_owned).collect();
    let alerts: BTreeSet<_> = sources().alert_names().into_iter().collect();
    assert_eq!(named.difference(&alerts).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(!named.is_empty());
}
