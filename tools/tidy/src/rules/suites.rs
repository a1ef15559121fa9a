//! Every case of a contract suite is run, and every suite by somebody.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use super::in_source;
use crate::Breach;
use crate::source::{Source, Token, closing};
use crate::workspace::Workspace;

/// A public function of a suite's folder is listed in one of its macros, unless another function there calls it; a
/// suite that others can run is run by one of them.
pub(super) fn cases_are_run(workspace: &Workspace) -> Vec<Breach> {
    let mut suites: BTreeMap<PathBuf, Vec<&Source>> = BTreeMap::new();
    for source in &workspace.sources {
        if let Some(folder) = suite(source) {
            suites.entry(folder).or_default().push(source);
        }
    }
    let cases = suites.values().flat_map(|sources| unlisted(sources));
    let whole = suites.values().flatten().flat_map(|source| unused(source, workspace));
    cases.chain(whole).collect()
}

/// The folder of the suite to which a file belongs: `crates/lock/src/suite` or `services/user/tests/contract`.
fn suite(source: &Source) -> Option<PathBuf> {
    let components = source.components();
    match components.as_slice() {
        ["crates", _, "src", "suite" | "suite.rs", ..] | ["services", _, "tests", "contract", ..] => {
            let folder: PathBuf = components.iter().take(4).collect();
            Some(folder.with_extension(""))
        }
        _ => None,
    }
}

fn unlisted(sources: &[&Source]) -> Vec<Breach> {
    let files: Vec<File<'_>> = sources.iter().map(|source| File::read(source)).collect();
    let known = |name: &str| files.iter().any(|file| file.lists(name) || file.calls(name));
    let mut breaches = Vec::new();
    for file in &files {
        for case in file.cases.iter().filter(|case| !known(case.text)) {
            let detail = format!("no adapter runs `{}`: list it in the suite's macro", case.text);
            breaches.push(in_source(file.source, file.source.line(case.at), "suite-case", detail));
        }
    }
    breaches
}

/// Exported suites that nobody runs.
fn unused(source: &Source, workspace: &Workspace) -> Vec<Breach> {
    let package = source.components().get(1).copied().unwrap_or_default();
    let exported = source.code.match_indices("#[macro_export]").filter_map(|(at, _)| {
        // What is hidden is a part of another suite.
        if source.code[..at].trim_end().ends_with("#[doc(hidden)]") {
            return None;
        }
        let after = source.code[at..].split_once("macro_rules!")?.1;
        Some((at, after.split_whitespace().next()?))
    });
    // Called itself, or handed to `testkit::suite!`.
    let run = |name: &str| {
        let calls = ["!", ","].map(|after| format!("{package}::{name}{after}"));
        workspace.sources.iter().any(|other| calls.iter().any(|call| !other.find(call).is_empty()))
    };
    exported
        .filter(|(_, name)| !run(name))
        .map(|(at, name)| {
            let detail = format!("no adapter runs `{name}!`: call it in the tests of each adapter");
            in_source(source, source.line(at), "suite-case", detail)
        })
        .collect()
}

/// One file of a suite.
struct File<'a> {
    source: &'a Source,
    tokens: Vec<Token<'a>>,
    /// The indexes of what stands within macros that are defined or called outside functions.
    macros: Vec<Range<usize>>,
    /// The names of public async functions outside `impl` and `trait`.
    cases: Vec<Token<'a>>,
}

impl<'a> File<'a> {
    fn read(source: &'a Source) -> Self {
        let tokens = source.tokens();
        let (mut macros, mut cases) = (Vec::new(), Vec::new());
        let mut index = 0;
        while index < tokens.len() {
            let text = |offset: usize| tokens.get(index + offset).map_or("", |token| token.text);
            if text(0) == "fn" {
                if is_public_async(&tokens[..index]) {
                    cases.extend(tokens.get(index + 1));
                }
                index = body_end(&tokens, index);
            } else if ["impl", "trait"].contains(&text(0)) {
                index = body_end(&tokens, index);
            } else if text(0) == "!" && (["(", "{", "["].contains(&text(1)) || text(2) == "{") {
                let open = if text(2) == "{" { index + 2 } else { index + 1 };
                let end = closing(&tokens, open);
                macros.push(open..end);
                index = end;
            }
            index += 1;
        }
        Self { source, tokens, macros, cases }
    }

    fn lists(&self, name: &str) -> bool {
        self.macros.iter().any(|span| self.tokens[span.clone()].iter().any(|token| token.text == name))
    }

    fn calls(&self, name: &str) -> bool {
        self.tokens.windows(3).any(|window| {
            let [before, token, after] = window else { return false };
            token.text == name && after.text == "(" && before.text != "fn"
        })
    }
}

/// Whether the tokens before `fn` end in `pub async` or `pub(…) async`.
fn is_public_async(before: &[Token<'_>]) -> bool {
    let texts: Vec<&str> = before.iter().rev().take(5).map(|token| token.text).collect();
    matches!(texts.as_slice(), ["async", "pub", ..] | ["async", ")", _, "(", "pub"])
}

/// The index of the brace or semicolon that ends the item at `index`.
fn body_end(tokens: &[Token<'_>], mut index: usize) -> usize {
    while index < tokens.len() {
        match tokens[index].text {
            ";" => return index,
            "{" => return closing(tokens, index),
            "(" | "[" => index = closing(tokens, index),
            _ => {}
        }
        index += 1;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<(String, usize)> {
        let sources = files.iter().map(|(file, text)| Source::new(*file, *text)).collect();
        let breaches = cases_are_run(&Workspace { sources, ..Workspace::default() });
        breaches.into_iter().map(|breach| (breach.file.display().to_string(), breach.line)).collect()
    }

    const RUN: (&str, &str) = ("crates/lock/tests/lock/main.rs", "lock::suite!(#[tokio::test] => || backend());");

    #[test]
    fn a_case_that_is_not_listed_is_named() {
        let list = "mod port;\npub use port::{a_case, another};\n#[macro_export]\nmacro_rules! suite {\n    () => { a_case };\n}";
        let cases = "pub async fn a_case() {\n    helper().await;\n}\n\npub async fn another() {}\npub async fn helper() {}\n\
            async fn private() {}\nimpl A {\n    pub async fn method() {}\n}";
        let files = [("crates/lock/src/suite.rs", list), ("crates/lock/src/suite/port.rs", cases), RUN];
        assert_eq!(found(&files), [("crates/lock/src/suite/port.rs".to_owned(), 5)]);
    }

    #[test]
    fn a_case_of_a_service_is_listed_too() {
        let main = "mod accounts;\nsuite! { accounts: a_case }\nfn main() { assert!(other(b_case)) }";
        let cases = "pub(crate) async fn a_case() {}\npub(crate) async fn b_case() {}";
        let files =
            [("services/user/tests/contract/main.rs", main), ("services/user/tests/contract/accounts.rs", cases)];
        assert_eq!(found(&files), [("services/user/tests/contract/accounts.rs".to_owned(), 2)]);
    }

    #[test]
    fn a_suite_that_nobody_runs_is_named() {
        let suite =
            ("crates/lock/src/suite.rs", "//! The suite.\n#[macro_export]\nmacro_rules! suite {\n    () => {};\n}");
        assert_eq!(found(&[suite]), [("crates/lock/src/suite.rs".to_owned(), 2)]);
        assert_eq!(found(&[suite, RUN]), []);
        let handed_over = ("crates/redis/tests/lock/main.rs", "testkit::suite! { lock::suite, backend().await }");
        assert_eq!(found(&[suite, handed_over]), []);
    }
}
