//! The rules, each with tests that show how it is broken.

mod cycles;
mod docs;
mod documents;
mod edges;
mod features;
mod files;
mod layers;
mod readmes;
mod size;
mod suites;
mod technologies;

use crate::Breach;
use crate::document::Document;
use crate::manifest::Manifest;
use crate::source::Source;
use crate::workspace::Workspace;

/// Rules that look at one manifest.
const MANIFEST_RULES: [fn(&Manifest) -> Vec<Breach>; 6] = [
    edges::crates_know_crates,
    edges::services_stand_alone,
    edges::testkit_is_for_tests,
    edges::root_decides,
    features::features_pass_on,
    technologies::a_technology_has_its_crate,
];

/// Rules that look at one Rust file.
const SOURCE_RULES: [fn(&Source) -> Vec<Breach>; 9] = [
    size::files_are_short,
    size::functions_are_short,
    files::files_say_what_they_are,
    files::no_mod_rs,
    files::nothing_is_spawned_untracked,
    files::no_test_is_ignored,
    features::features_are_asked_in_the_registry,
    docs::libraries_ask_for_docs,
    docs::no_docs_are_waived,
];

/// Rules that look at several files together.
const WORKSPACE_RULES: [fn(&Workspace) -> Vec<Breach>; 7] = [
    cycles::no_module_uses_back,
    documents::links_lead_somewhere,
    documents::paths_exist,
    documents::named_tests_exist,
    layers::layers_keep_to_their_lists,
    readmes::readmes_are_doc_tests,
    suites::cases_are_run,
];

pub(crate) fn check(workspace: &Workspace) -> Vec<Breach> {
    let manifests =
        workspace.manifests.iter().flat_map(|manifest| MANIFEST_RULES.iter().flat_map(|rule| rule(manifest)));
    let sources = workspace.sources.iter().flat_map(|source| SOURCE_RULES.iter().flat_map(|rule| rule(source)));
    let together = WORKSPACE_RULES.iter().flat_map(|rule| rule(workspace));
    manifests.chain(sources).chain(together).collect()
}

fn in_source(source: &Source, line: usize, rule: &'static str, detail: String) -> Breach {
    Breach { file: source.file.clone(), line, rule, detail }
}

fn in_manifest(manifest: &Manifest, line: usize, rule: &'static str, detail: String) -> Breach {
    Breach { file: manifest.file.clone(), line, rule, detail }
}

fn in_document(document: &Document, line: usize, rule: &'static str, detail: String) -> Breach {
    Breach { file: document.file.clone(), line, rule, detail }
}
