//! Every crate has a README whose Rust is compiled.

use std::path::Path;

use super::{in_document, in_manifest};
use crate::Breach;
use crate::manifest::Manifest;
use crate::workspace::Workspace;

/// How a crate takes its README into its documentation, and with it into its doc tests.
const INCLUDE: &str = "include_str!(\"../README.md\")";

/// Every library crate shows its README as its documentation, so that `cargo test` compiles what stands in it.
pub(super) fn readmes_are_doc_tests(workspace: &Workspace) -> Vec<Breach> {
    let crates = workspace.manifests.iter().filter(|manifest| manifest.package().0 == "crates");
    crates.flat_map(|manifest| check(manifest, workspace)).collect()
}

fn check(manifest: &Manifest, workspace: &Workspace) -> Vec<Breach> {
    let folder = manifest.file.parent().unwrap_or_else(|| Path::new(""));
    let readme = folder.join("README.md");
    let Some(document) = workspace.documents.iter().find(|document| document.file == readme) else {
        let detail = "README.md is missing: what the crate is for, and an example".to_owned();
        return vec![in_manifest(manifest, 1, "readme", detail)];
    };
    let source = folder.join("src");
    let included =
        workspace.sources.iter().any(|file| file.file.parent() == Some(&source) && file.text.contains(INCLUDE));
    let mut breaches = Vec::new();
    if !included {
        let detail = format!("the README's examples are not compiled: `#![doc = {INCLUDE}]` in src/lib.rs");
        breaches.push(in_document(document, 1, "readme", detail));
    }
    breaches.extend(document.fences.iter().filter_map(|(line, info)| {
        let detail = unclear_fence(info)?;
        Some(in_document(document, *line, "readme", detail.to_owned()))
    }));
    breaches
}

/// What is wrong with how a block begins.
fn unclear_fence(info: &str) -> Option<&'static str> {
    match info {
        "" => Some("say what the block is: without a word it is taken for Rust"),
        "no_run" | "should_panic" => Some("write `rust,…`: without it only the compiler knows what the block is"),
        _ if info.split(',').any(|word| word == "ignore") => {
            Some("an example that is not compiled goes stale: make it compile, with `rust,no_run` if need be")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use crate::source::Source;

    fn lines(library: &str, readme: Option<&str>) -> Vec<usize> {
        let workspace = Workspace {
            manifests: vec![Manifest::parse("crates/lock/Cargo.toml".into(), "").unwrap()],
            sources: vec![Source::new("crates/lock/src/lib.rs", library)],
            documents: readme.map(|text| Document::new("crates/lock/README.md", text)).into_iter().collect(),
            ..Workspace::default()
        };
        readmes_are_doc_tests(&workspace).iter().map(|breach| breach.line).collect()
    }

    #[test]
    fn a_crate_without_a_readme_is_named() {
        assert_eq!(lines("", None), [1]);
        assert_eq!(lines("#![doc = include_str!(\"../README.md\")]", Some("# lock")), []);
    }

    #[test]
    fn a_readme_that_is_not_compiled_is_named() {
        assert_eq!(lines("//! Locks.", Some("# lock")), [1]);
        let readme =
            "# lock\n\n```rust,ignore\nlock()\n```\n```rust,no_run\n```\n```no_run\n```\n```\n```\n```text\n```\n";
        assert_eq!(lines("#![doc = include_str!(\"../README.md\")]", Some(readme)), [3, 8, 10]);
    }
}
