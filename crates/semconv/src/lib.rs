#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod attribute;
pub mod attributes;
mod metric;
pub mod metrics;
mod span;
pub mod spans;
mod stability;

pub use self::{
    attribute::{Attribute, Type, Values},
    metric::{Definition, Instrument, Kind, Metric, Observable},
    span::{Span, SpanKind},
    stability::Stability,
};
