//! One trace, from wherever its spans are, as a tree.

mod otlp;
mod picture;
mod sources;
mod tree;

pub(crate) use self::{otlp::Span, picture::picture, sources::Source};
