//! How the services are, by the metrics of their admin ports: rates, errors, durations, what waits, memory.

mod exposition;
mod figures;
mod table;

pub(crate) use self::{exposition::Samples, figures::Figures, table::table};
