//! Every metric: OpenTelemetry's (semantic conventions 1.44) where it has a name, otherwise ours.

mod business;
mod process;
mod service;
mod storage;

pub use self::{business::*, process::*, service::*, storage::*};
use crate::Definition;

/// Bounds in seconds, as the conventions for HTTP and RPC advise, and what deploy/slo.yaml promises: 0.3.
const SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.3, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Bounds in seconds, as the conventions for databases advise, for what is quicker.
const SHORT: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
/// Bounds in seconds of what may wait for others.
const LONG: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
/// No bounds: no histogram.
const NONE: &[f64] = &[];

/// Defines the metrics of a part of the system, by where they are recorded, and the list of them.
macro_rules! metrics {
    ($here:ident; $(
        in $emitted_by:literal {
            $($constant:ident: $instrument:ty = $name:literal, $stability:ident, $unit:literal, $bounds:expr,
                $description:literal, [$($attribute:ident),*];)*
        }
    )*) => {
        $($(
            #[doc = concat!("`", $name, "`: ", $description)]
            pub static $constant: Metric<$instrument> = Metric::new(Definition {
                name: $name,
                stability: Stability::$stability,
                kind: <$instrument>::KIND,
                unit: $unit,
                description: $description,
                attributes: &[$(&attributes::$attribute),*],
                bounds: $bounds,
                emitted_by: $emitted_by,
            });
        )*)*

        /// Those of this file.
        pub(super) static $here: &[&Definition] = &[$($($constant.definition(),)*)*];
    };
}
use metrics;

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Definition> {
    [SERVICE, STORAGE, BUSINESS, PROCESS].into_iter().flatten().copied()
}

/// The one of this name.
pub fn find(name: &str) -> Option<&'static Definition> {
    all().find(|definition| definition.name == name)
}
