//! What every file has to have and what none may have.

use super::in_source;
use crate::Breach;
use crate::source::Source;

/// A shorter first line says nothing.
const MIN_HEAD: usize = 8;

pub(super) fn files_say_what_they_are(source: &Source) -> Vec<Breach> {
    let first = source.text.lines().next().unwrap_or_default();
    let words = first.strip_prefix("//!").unwrap_or_default().trim();
    // A library may show its README instead.
    if words.len() >= MIN_HEAD || first.starts_with("#![doc = include_str!(") {
        return Vec::new();
    }
    let detail = "the first line has to be `//! …` and say what the file does".to_owned();
    vec![in_source(source, 1, "file-head", detail)]
}

pub(super) fn no_mod_rs(source: &Source) -> Vec<Breach> {
    if source.components().last() != Some(&"mod.rs") {
        return Vec::new();
    }
    let detail = "a module `foo` is `foo.rs` beside the folder `foo/`, never `foo/mod.rs`".to_owned();
    vec![in_source(source, 1, "mod-rs", detail)]
}

pub(super) fn nothing_is_spawned_untracked(source: &Source) -> Vec<Breach> {
    let paths = source.paths();
    let spawns = paths
        .iter()
        .filter(|path| matches!(path.segments.as_slice(), ["tokio", "spawn"] | [.., "task", "spawn" | "spawn_local"]));
    spawns
        .map(|path| {
            let detail = "a bare spawn makes a task that nobody waits for: use the Tasks or TaskTracker passed in";
            in_source(source, source.line(path.at), "spawn", detail.to_owned())
        })
        .collect()
}

pub(super) fn no_test_is_ignored(source: &Source) -> Vec<Breach> {
    source
        .code
        .match_indices("#[ignore")
        .map(|(at, _)| {
            let detail = "a test that does not run is none: make it run, or take it out".to_owned();
            in_source(source, source.line(at), "ignored-test", detail)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(breaches: &[Breach]) -> Vec<usize> {
        breaches.iter().map(|breach| breach.line).collect()
    }

    #[test]
    fn a_file_without_a_head_is_named() {
        for text in ["", "use a;\n", "\n//! Reads the workspace.\n", "//! .\n", "// Reads the workspace.\n"] {
            assert_eq!(lines(&files_say_what_they_are(&Source::new("a.rs", text))), [1], "{text:?}");
        }
        for text in ["//! Reads the workspace.\n", "#![doc = include_str!(\"../README.md\")]\n"] {
            assert_eq!(files_say_what_they_are(&Source::new("a.rs", text)), [], "{text:?}");
        }
    }

    #[test]
    fn a_mod_rs_is_named() {
        assert_eq!(lines(&no_mod_rs(&Source::new("crates/a/src/b/mod.rs", ""))), [1]);
        assert_eq!(no_mod_rs(&Source::new("crates/a/src/b.rs", "mod rs;")), []);
    }

    #[test]
    fn every_way_to_spawn_is_named() {
        let text = "tokio::spawn(a);\nuse tokio::{select, spawn};\ntokio::task::spawn(a);\ntask::spawn_local(b);\n\
            tokio::task::spawn_blocking(c);\ntracker.spawn(d); // tokio::spawn\nset.spawn(\"tokio::spawn\");";
        assert_eq!(lines(&nothing_is_spawned_untracked(&Source::new("a.rs", text))), [1, 2, 3, 4]);
    }

    #[test]
    fn an_ignored_test_is_named() {
        let text = "#[test]\n#[ignore]\nfn a() {}\n#[ignore = \"slow\"]\nfn b() {}\n// #[ignore]\n";
        assert_eq!(lines(&no_test_is_ignored(&Source::new("a.rs", text))), [2, 4]);
    }
}
