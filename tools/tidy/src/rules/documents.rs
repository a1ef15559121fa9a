//! Documents name what is there: files, and tests.

use std::path::{Component, Path, PathBuf};

use super::in_document;
use crate::Breach;
use crate::document::Document;
use crate::workspace::Workspace;

/// What speaks of the past.
const PAST: [&str; 2] = ["docs/adr", "CHANGELOG.md"];

/// What a document links to is in the repository.
pub(super) fn links_lead_somewhere(workspace: &Workspace) -> Vec<Breach> {
    let check = |document: &Document| {
        let links = document.links().into_iter().filter_map(|(line, target)| {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                return None;
            }
            let from = document.file.parent().unwrap_or_else(|| Path::new(""));
            let target = resolved(&from.join(path));
            (!workspace.has(&target)).then(|| missing(document, line, &target.display().to_string()))
        });
        links.collect::<Vec<_>>()
    };
    workspace.documents.iter().flat_map(check).collect()
}

/// What a document names by its path from the root is there.
pub(super) fn paths_exist(workspace: &Workspace) -> Vec<Breach> {
    let check = |document: &Document| {
        let paths = document.code().into_iter().filter(|(_, code)| is_path(code));
        let gone = paths.filter(|(_, path)| !workspace.has(Path::new(path.trim_end_matches('/'))));
        gone.map(|(line, path)| missing(document, line, path)).collect::<Vec<_>>()
    };
    workspace.documents.iter().filter(|document| !is_past(document)).flat_map(check).collect()
}

/// Each test that a document of the whole names exists.
pub(super) fn named_tests_exist(workspace: &Workspace) -> Vec<Breach> {
    let of_the_whole = |document: &&Document| {
        let folder = document.file.parent().unwrap_or_else(|| Path::new(""));
        (folder == Path::new("") || folder == Path::new("docs")) && !is_past(document)
    };
    let documents = workspace.documents.iter().filter(of_the_whole);
    let names = documents.flat_map(|document| document.code().into_iter().map(move |code| (document, code)));
    let unknown = names.filter(|(_, (_, name))| is_test(name)).filter(|(_, (_, name))| {
        let function = format!("fn {name}");
        !workspace.sources.iter().any(|source| !source.find(&function).is_empty())
    });
    unknown
        .map(|(document, (line, name))| {
            let detail = format!("no test is called `{name}`: name the one that goes red when the rule is broken");
            in_document(document, line, "doc-test", detail)
        })
        .collect()
}

fn is_past(document: &Document) -> bool {
    PAST.iter().any(|past| document.file.starts_with(past))
}

fn missing(document: &Document, line: usize, path: &str) -> Breach {
    in_document(document, line, "doc-path", format!("`{path}` is not there: name what took over from it"))
}

/// A path from the root of the repository to one file or folder.
fn is_path(code: &str) -> bool {
    let folders =
        ["crates/", "services/", "tools/", "e2e/", "deploy/", "docs/", "helm/", "istio/", "proto/", ".github/"];
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    folders.iter().any(|folder| code.starts_with(folder)) && code.chars().all(plain)
}

/// A sentence in snake case, as tests are called here.
fn is_test(code: &str) -> bool {
    code.matches('_').count() >= 3 && code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The path without `..`.
fn resolved(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                result.pop();
            }
            Component::CurDir => {}
            other => result.push(other),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    fn workspace(file: &str, text: &str) -> Workspace {
        let sources = vec![Source::new("crates/lock/src/lib.rs", "fn a_lock_is_for_one() {}")];
        let paths = ["docs/deploy.md", "docs", "crates/lock/src/lib.rs", "crates/lock"].map(PathBuf::from);
        Workspace {
            sources,
            documents: vec![Document::new(file, text)],
            paths: paths.into_iter().collect(),
            ..Workspace::default()
        }
    }

    fn lines(breaches: &[Breach]) -> Vec<usize> {
        breaches.iter().map(|breach| breach.line).collect()
    }

    #[test]
    fn a_link_that_leads_nowhere_is_named() {
        let text = "[a](deploy.md) [b](../crates/lock#c) [d](#e) [f](https://g)\n[h](nothing.md)\n[i](../crates/gone)";
        assert_eq!(lines(&links_lead_somewhere(&workspace("docs/index.md", text))), [2, 3]);
    }

    #[test]
    fn a_path_that_is_not_there_is_named() {
        let text =
            "`crates/lock/src/lib.rs` and `docs/`\n`crates/gone/src/lib.rs`\n`services/{user,order}` `crates/*/src`";
        assert_eq!(lines(&paths_exist(&workspace("README.md", text))), [2]);
        assert_eq!(paths_exist(&workspace("docs/adr/0001-a.md", text)), []);
    }

    #[test]
    fn a_test_that_is_not_there_is_named() {
        let text = "`a_lock_is_for_one`, `Lease::wrote`, `some_word`\n`a_lock_is_for_nobody`";
        assert_eq!(lines(&named_tests_exist(&workspace("docs/invariants.md", text))), [2]);
        assert_eq!(lines(&named_tests_exist(&workspace("ARCHITECTURE.md", text))), [2]);
        assert_eq!(named_tests_exist(&workspace("CHANGELOG.md", text)), []);
    }
}
