//! One trace, from wherever its spans are, as a tree.

mod branch;
mod otlp;
mod picture;
mod sources;
mod tree;

pub use self::otlp::{Kind, Span};
pub(crate) use self::{picture::picture, sources::Source};

/// The branch below a span that failed, or took longest, as plain text: a line for each span, the time of all first.
pub fn decisive(spans: &[Span], from: &Span) -> String {
    let branch: Vec<Span> = branch::branch(spans, from).into_iter().cloned().collect();
    let lines = picture(&branch, &from.trace);
    let plain = lines.iter().map(|line| anstream::adapter::strip_str(line).to_string());
    // The trace's id is of no use after its day.
    let plain = plain.map(|line| line.replacen(&format!("trace {}   ", from.trace), "", 1).trim_end().to_owned());
    plain.collect::<Vec<_>>().join("\n")
}
