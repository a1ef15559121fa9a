//! Every public item of a library has a doc comment: the compiler is told to say where one is missing.

use std::path::Path as FilePath;

use super::in_source;
use crate::Breach;
use crate::source::{Source, closing};

const LINT: &str = "missing_docs";

/// Files that do not have their docs yet.
const EXCEPTIONS: [&str; 2] = ["crates/cache/src/suite.rs", "crates/lock/src/suite.rs"];

fn is_excepted(source: &Source) -> bool {
    EXCEPTIONS.iter().any(|file| source.file == FilePath::new(file))
}

/// The root of each library turns the lint on; CI makes errors of its warnings.
pub(super) fn libraries_ask_for_docs(source: &Source) -> Vec<Breach> {
    let is_library = matches!(source.components().as_slice(), [_, _, "src", "lib.rs"] | ["e2e", "src", "lib.rs"]);
    if !is_library
        || is_excepted(source)
        || ["#![warn(missing_docs)]", "#![deny(missing_docs)]"].iter().any(|on| source.code.contains(on))
    {
        return Vec::new();
    }
    vec![in_source(
        source,
        1,
        "missing-docs",
        format!("`#![warn({LINT})]` is missing: every public item has a doc comment"),
    )]
}

/// What is shipped does not turn the lint off again; only generated code may.
pub(super) fn no_docs_are_waived(source: &Source) -> Vec<Breach> {
    if !source.components().contains(&"src") || is_excepted(source) || source.code.contains("include_proto!") {
        return Vec::new();
    }
    let tokens = source.tokens();
    let waivers = tokens.iter().enumerate().filter(|(index, token)| {
        ["allow", "expect"].contains(&token.text) && tokens.get(index + 1).is_some_and(|next| next.text == "(")
    });
    let waived = waivers
        .filter_map(|(index, _)| tokens[index..closing(&tokens, index + 1)].iter().find(|token| token.text == LINT));
    waived
        .map(|token| {
            let detail = "write the doc comment: what it does, its units, its errors".to_owned();
            in_source(source, source.line(token.at), "missing-docs", detail)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_without_the_lint_is_named() {
        let text = "//! A library.\n";
        assert_eq!(libraries_ask_for_docs(&Source::new("crates/a/src/lib.rs", text)).len(), 1);
        assert_eq!(libraries_ask_for_docs(&Source::new("services/a/src/lib.rs", text)).len(), 1);
        assert_eq!(libraries_ask_for_docs(&Source::new("crates/a/src/b.rs", text)), []);
        let on = "//! A library.\n#![warn(missing_docs)]\n";
        assert_eq!(libraries_ask_for_docs(&Source::new("crates/a/src/lib.rs", on)), []);
        // In a comment it does nothing.
        let off = "//! A library.\n// #![warn(missing_docs)]\n";
        assert_eq!(libraries_ask_for_docs(&Source::new("crates/a/src/lib.rs", off)).len(), 1);
    }

    #[test]
    fn a_waiver_is_named() {
        let text = "#![allow(clippy::unwrap_used, missing_docs)]\n#[expect(missing_docs)]\nfn a() {}";
        assert_eq!(no_docs_are_waived(&Source::new("crates/a/src/b.rs", text)).len(), 2);
        assert_eq!(no_docs_are_waived(&Source::new("crates/a/tests/b.rs", text)), []);
    }
}
