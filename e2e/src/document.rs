//! Documents of docs/ that a run writes its figures into.

use anyhow::{Context as _, Result};

/// Where a part that is written ends.
pub const END: &str = "<!-- end -->";

/// What stands before a mark and with it, between it and the next [`END`], and from there on.
///
/// # Errors
/// One of them is missing.
pub fn between<'a>(text: &'a str, mark: &str) -> Result<(&'a str, &'a str, &'a str)> {
    let begin = text.find(mark).with_context(|| format!("the document has no {mark}"))? + mark.len();
    let end = begin + text[begin..].find(END).with_context(|| format!("no end after {mark}"))?;
    Ok((&text[..begin], &text[begin..end], &text[end..]))
}
