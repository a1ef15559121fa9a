//! A Rust file: its text, and its code with comments and literals blanked out, so that words in them break no rule.

use std::path::PathBuf;

mod blank;
mod functions;

pub(crate) use functions::Function;

/// A Rust file.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the root of the workspace.
    pub(crate) file: PathBuf,
    pub(crate) text: String,
    /// The text with blanks for comments and literals; lines stay where they are.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(file: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        let text = text.into();
        let code = blank::blank(&text);
        Self { file: file.into(), text, code }
    }

    /// The parts of the path: `services`, `user`, `src`, `main.rs`.
    pub(crate) fn parts(&self) -> Vec<&str> {
        self.file.iter().filter_map(|part| part.to_str()).collect()
    }

    /// The line, from 1, of a place in `code`.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.code.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    /// The functions with a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        functions::find(&self.code)
    }

    /// The places where `path`, such as `tokio::spawn`, stands in the code as a path or the beginning of one.
    pub(crate) fn find(&self, path: &str) -> Vec<usize> {
        let bytes = self.code.as_bytes();
        let part_of_word = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        self.code
            .match_indices(path)
            .map(|(at, _)| at)
            .filter(|at| {
                let before = at.checked_sub(1).and_then(|i| bytes.get(i));
                !part_of_word(before) && before != Some(&b':') && !part_of_word(bytes.get(at + path.len()))
            })
            .collect()
    }

    /// The names that stand after `root` and `::`, each with its place; `use crate::{a, b::c}` gives `a` and `b`.
    pub(crate) fn names_below(&self, root: &str) -> Vec<(usize, &str)> {
        let mut names = Vec::new();
        for at in self.find(root) {
            let start = at + root.len();
            let Some(rest) = self.code[start..].strip_prefix("::") else { continue };
            let start = start + 2;
            if rest.starts_with('{') {
                names.extend(group(rest).into_iter().map(|(offset, name)| (start + offset, name)));
            } else {
                names.push((start, first_word(rest)));
            }
        }
        names
    }
}

/// The first word of each element of a group such as `{a, b::{c, d}}`.
fn group(text: &str) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut expects_name = false;
    for (at, c) in text.char_indices() {
        match c {
            '{' => {
                depth += 1;
                expects_name = depth == 1;
            }
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' => expects_name = depth == 1,
            c if c.is_whitespace() => {}
            _ if expects_name => {
                names.push((at, first_word(&text[at..])));
                expects_name = false;
            }
            _ => {}
        }
    }
    names
}

fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_as_a_path_and_not_within_a_word() {
        let source = Source::new("a.rs", "tokio::spawn(x); my_tokio::spawn(x); tokio::spawner(); a::tokio::spawn;");
        assert_eq!(source.find("tokio::spawn"), [0]);
    }

    #[test]
    fn the_names_below_a_root_are_found_in_groups_too() {
        let code = "use crate::{\n    api::X,\n    app::{self, ports},\n};\ncrate::wiring::run(); mycrate::no();";
        let source = Source::new("a.rs", code);
        let found: Vec<_> = source.names_below("crate").into_iter().map(|(at, n)| (source.line(at), n)).collect();
        assert_eq!(found, [(2, "api"), (3, "app"), (5, "wiring")]);
    }
}
