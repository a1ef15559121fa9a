//! A span: a piece of work, with its name, its attributes and what it stands under.

use std::fmt;

use crate::{Attribute, Stability};

/// A kind of span.
#[derive(Debug)]
pub struct Span {
    /// Its name; what stands in braces is the value of that attribute of it.
    pub name: &'static str,
    /// Whose name it is.
    pub stability: Stability,
    /// Which side of which call it is.
    pub kind: SpanKind,
    /// What it means, and under what it stands or what it links to.
    pub description: &'static str,
    /// The attributes that it may have.
    pub attributes: &'static [&'static Attribute],
    /// Where it is made: a folder.
    pub emitted_by: &'static str,
}

/// Which side of which call a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Work within a process.
    Internal,
    /// A request that is answered.
    Server,
    /// A call that is made.
    Client,
    /// A message that is sent.
    Producer,
    /// A message that is handled.
    Consumer,
}

impl fmt::Display for SpanKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        })
    }
}

impl Span {
    /// Whether a span of this name is one of these, when its attributes are what `value` says.
    pub fn is_named(&self, name: &str, value: impl Fn(&str) -> Option<String>) -> bool {
        let mut expected = String::new();
        let mut rest = self.name;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((attribute, after)) = after.split_once('}') else { return false };
            let Some(value) = value(attribute) else { return false };
            expected.push_str(before);
            expected.push_str(&value);
            rest = after;
        }
        expected + rest == name
    }
}
