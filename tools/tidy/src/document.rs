//! A Markdown file: what it links to, and what it names as code.

use std::path::PathBuf;

/// A Markdown file.
#[derive(Debug)]
pub(crate) struct Document {
    /// From the root of the workspace.
    pub(crate) file: PathBuf,
    /// Its lines; what stands in fenced blocks is empty.
    lines: Vec<String>,
    /// The fences that open a block, each with its line from 1: `rust,no_run`.
    pub(crate) fences: Vec<(usize, String)>,
}

impl Document {
    pub(crate) fn new(file: impl Into<PathBuf>, text: &str) -> Self {
        let (mut lines, mut fences) = (Vec::new(), Vec::new());
        let mut inside = false;
        for (index, line) in text.lines().enumerate() {
            if let Some(info) = line.trim_start().strip_prefix("```") {
                if !inside {
                    fences.push((index + 1, info.trim().to_owned()));
                }
                inside = !inside;
                lines.push(String::new());
            } else {
                lines.push(if inside { String::new() } else { line.to_owned() });
            }
        }
        Self { file: file.into(), lines, fences }
    }

    /// The targets of its links, each with its line from 1.
    pub(crate) fn links(&self) -> Vec<(usize, &str)> {
        let links = self.numbered().flat_map(|(number, line)| {
            line.split("](").skip(1).filter_map(move |rest| Some((number, rest.split_once(')')?.0)))
        });
        links.collect()
    }

    /// What stands in single backticks, each with its line from 1.
    pub(crate) fn code(&self) -> Vec<(usize, &str)> {
        let code = self.numbered().flat_map(|(number, line)| {
            // Every second piece between backticks is inside; a piece that no backtick closes is not.
            let pieces: Vec<&str> = line.split('`').collect();
            let closed = pieces.len().saturating_sub(1);
            pieces.into_iter().take(closed).skip(1).step_by(2).map(move |piece| (number, piece))
        });
        code.collect()
    }

    fn numbered(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines.iter().enumerate().map(|(index, line)| (index + 1, line.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_code_and_fences_are_found() {
        let text = "See [a](b.md#c) and `d`.\n```rust,no_run\n[x](y) `z`\n```\n`e` then ` and [f](https://g)\n```\n";
        let document = Document::new("a.md", text);
        assert_eq!(document.links(), [(1, "b.md#c"), (5, "https://g")]);
        assert_eq!(document.code(), [(1, "d"), (5, "e")]);
        assert_eq!(document.fences, [(2, "rust,no_run".to_owned()), (6, String::new())]);
    }
}
