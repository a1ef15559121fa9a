//! The rules, each with tests that show how it is broken.

mod edges;
mod layers;
mod size;
mod words;

use crate::Breach;
use crate::manifest::Manifest;
use crate::source::Source;
use crate::workspace::Workspace;

/// Rules that look at one manifest.
const MANIFEST_RULES: [fn(&Manifest) -> Vec<Breach>; 4] =
    [edges::crates_know_crates, edges::services_stand_alone, edges::testkit_is_for_tests, edges::root_decides];

/// Rules that look at one Rust file.
const SOURCE_RULES: [fn(&Source) -> Vec<Breach>; 9] = [
    size::files_are_short,
    size::functions_are_short,
    words::files_say_what_they_are,
    words::no_mod_rs,
    words::nothing_is_spawned_untracked,
    words::no_test_is_ignored,
    layers::dependencies_point_inward,
    layers::layers_know_their_technology,
    layers::time_is_passed_in,
];

pub(crate) fn check(workspace: &Workspace) -> Vec<Breach> {
    let manifests =
        workspace.manifests.iter().flat_map(|manifest| MANIFEST_RULES.iter().flat_map(|rule| rule(manifest)));
    let sources = workspace.sources.iter().flat_map(|source| SOURCE_RULES.iter().flat_map(|rule| rule(source)));
    manifests.chain(sources).collect()
}

fn in_source(source: &Source, line: usize, rule: &'static str, detail: String) -> Breach {
    Breach { file: source.file.clone(), line, rule, detail }
}

fn in_manifest(manifest: &Manifest, line: usize, rule: &'static str, detail: String) -> Breach {
    Breach { file: manifest.file.clone(), line, rule, detail }
}
