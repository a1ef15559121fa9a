//! An attribute: its name, its type and what it may say.

use opentelemetry::{KeyValue, Value};

use crate::Stability;

/// An attribute of spans and metrics.
#[derive(Debug)]
pub struct Attribute {
    /// Its name, such as `http.route`.
    pub name: &'static str,
    /// Whose name it is.
    pub stability: Stability,
    /// The type of its values.
    pub of_type: Type,
    /// What it may say.
    pub values: Values,
    /// What it means.
    pub description: &'static str,
}

/// The type of an attribute's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// Yes or no.
    Boolean,
}

/// What an attribute may say.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// One of these.
    OneOf(&'static [&'static str]),
    /// One of as many as the program or its configuration has, such as this one. What strangers choose is none of them.
    Few(&'static str),
    /// One of any number, such as an id: on spans only, since each value would be a series of a metric.
    Any,
}

impl Attribute {
    /// The attribute with a value.
    pub fn of(&self, value: impl Into<Value>) -> KeyValue {
        KeyValue::new(self.name, value)
    }
}

impl Values {
    /// Whether a metric may have it.
    pub fn are_few(&self) -> bool {
        !matches!(self, Self::Any)
    }
}
