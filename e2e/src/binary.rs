//! Where the built programs are.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// A binary that was built beside the running test.
///
/// # Errors
///
/// Says which command builds it where it is missing.
pub fn binary(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let found = here.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built: run `cargo build --workspace --bins`"))
}
