//! docs/runbook.md: a section for each alert, and what has to be in it.

use std::{collections::BTreeSet, fs};

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
