//! A Rust file: its text, and its code with comments and literals blanked out, so that words in them break no rule.

use std::ops::Range;
use std::path::PathBuf;

mod blank;
mod functions;
mod items;
mod paths;
mod tokens;

pub(crate) use functions::Function;
pub(crate) use items::Module;
pub(crate) use paths::{Path, local_names};
pub(crate) use tokens::{Token, closing};

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

    /// The components of the path: `services`, `user`, `src`, `main.rs`.
    pub(crate) fn components(&self) -> Vec<&str> {
        self.file.iter().filter_map(|component| component.to_str()).collect()
    }

    /// The line, from 1, of a byte in `code`.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.code.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    /// The functions with a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        functions::find(&self.code)
    }

    /// The tokens of the code.
    pub(crate) fn tokens(&self) -> Vec<Token<'_>> {
        tokens::tokens(&self.code)
    }

    /// The paths that the code names.
    pub(crate) fn paths(&self) -> Vec<Path<'_>> {
        paths::paths(&self.tokens())
    }

    /// The modules that the file declares or contains.
    pub(crate) fn modules(&self) -> Vec<Module<'_>> {
        items::modules(&self.tokens())
    }

    /// The bytes of what stands under `#[cfg(test)]`.
    pub(crate) fn test_spans(&self) -> Vec<Range<usize>> {
        items::test_spans(&self.tokens())
    }

    /// The file that `#[path = "…"]` names among the attributes in these bytes.
    pub(crate) fn path_attribute(&self, attributes: &Range<usize>) -> Option<&str> {
        let text = &self.text[attributes.clone()];
        let after = text.split_once("#[path")?.1;
        after.split('"').nth(1)
    }

    /// The bytes at which `path`, such as `tokio::spawn`, stands in the code as a path or the beginning of one.
    pub(crate) fn find(&self, path: &str) -> Vec<usize> {
        let bytes = self.code.as_bytes();
        let in_word = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        self.code
            .match_indices(path)
            .map(|(at, _)| at)
            .filter(|at| {
                let before = at.checked_sub(1).and_then(|i| bytes.get(i));
                !in_word(before) && before != Some(&b':') && !in_word(bytes.get(at + path.len()))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_as_a_path_and_not_within_a_word() {
        let source = Source::new("a.rs", "tokio::spawn(x); my_tokio::spawn(x); tokio::spawner(); a::tokio::spawn;");
        assert_eq!(source.find("tokio::spawn"), [0]);
    }
}
