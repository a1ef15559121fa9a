//! The checkable rules of ARCHITECTURE.md.
//!
//! `cargo test -p trireme-tidy` reads every manifest, Rust file and document of the workspace and fails with a line per
//! breach: the file, the line, the rule, and what to do instead.
#![warn(missing_docs)]

mod document;
mod manifest;
mod modules;
mod rules;
mod source;
mod workspace;

use std::fmt;
use std::path::{Path, PathBuf};

pub use workspace::Error;

/// A line at which a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Breach {
    /// The file, from the root of the workspace.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The rule's name.
    pub rule: &'static str,
    /// What is wrong and what to do instead.
    pub detail: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: [{}] {}", self.file.display(), self.line, self.rule, self.detail)
    }
}

/// Checks the workspace below `root` and returns every breach, in the order of files and lines.
///
/// # Errors
///
/// When a file cannot be read, or a manifest is not TOML.
pub fn check(root: &Path) -> Result<Vec<Breach>, Error> {
    let workspace = workspace::read(root)?;
    let mut breaches = rules::check(&workspace);
    breaches.sort();
    Ok(breaches)
}
