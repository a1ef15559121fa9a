//! A metric: what is measured, and the instrument that does so.

use std::{marker::PhantomData, ops::Deref};

use opentelemetry::{
    global,
    metrics::{
        AsyncInstrument, Counter, Gauge, Histogram, Meter, ObservableCounter, ObservableGauge, ObservableUpDownCounter,
        UpDownCounter,
    },
};

use crate::{Attribute, Stability};

/// The name of the one meter of a process.
const METER: &str = "trireme";

/// What is measured.
#[derive(Debug)]
pub struct Definition {
    /// Its name, such as `http.server.request.duration`.
    pub name: &'static str,
    /// Whose name it is.
    pub stability: Stability,
    /// How its numbers add up.
    pub kind: Kind,
    /// Its unit, as of UCUM; what is counted stands in braces.
    pub unit: &'static str,
    /// What it means.
    pub description: &'static str,
    /// The attributes that it may have. What else is recorded with it is left out.
    pub attributes: &'static [&'static Attribute],
    /// The bounds of the buckets of a histogram, in its unit; otherwise empty.
    pub bounds: &'static [f64],
    /// Where it is recorded: a folder.
    pub emitted_by: &'static str,
}

/// How the numbers of a metric add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They are added, and never fall.
    Counter,
    /// They are added, and may fall.
    UpDownCounter,
    /// The last one counts.
    Gauge,
    /// They are counted by size.
    Histogram,
}

impl Definition {
    /// The name that it has at Prometheus, where its unit has a word there.
    pub fn prometheus_name(&self) -> String {
        let unit = match self.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            "1" => "_ratio",
            _ => "",
        };
        let suffix = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{}{unit}{suffix}", self.name.replace('.', "_"))
    }
}

/// A metric that is measured by an instrument of the type `I`.
#[derive(Debug)]
pub struct Metric<I> {
    definition: Definition,
    instrument: PhantomData<fn() -> I>,
}

impl<I> Metric<I> {
    pub(crate) const fn new(definition: Definition) -> Self {
        Self { definition, instrument: PhantomData }
    }

    pub(crate) const fn definition(&self) -> &Definition {
        &self.definition
    }
}

impl<I> Deref for Metric<I> {
    type Target = Definition;

    fn deref(&self) -> &Definition {
        &self.definition
    }
}

/// What an instrument measures with. Not for others to implement.
pub trait Instrument: Sized {
    /// How its numbers add up.
    const KIND: Kind;

    /// Makes it on a meter.
    fn build(definition: &Definition, meter: &Meter) -> Self;
}

/// An instrument that is asked for its numbers when they are collected. Not for others to implement.
pub trait Observable: Sized {
    /// A number.
    type Number;
    /// How its numbers add up.
    const KIND: Kind;

    /// Makes it on a meter.
    fn build<F>(definition: &Definition, meter: &Meter, callback: F) -> Self
    where
        F: Fn(&dyn AsyncInstrument<Self::Number>) + Send + Sync + 'static;
}

impl<I: Instrument> Metric<I> {
    /// Makes an instrument of it. What is made before the process' telemetry has begun records nothing.
    pub fn instrument(&self) -> I {
        I::build(&self.definition, &global::meter(METER))
    }
}

impl<I: Observable> Metric<I> {
    /// Has `callback` asked whenever it is collected, for as long as the process lives.
    pub fn observe(&self, callback: impl Fn(&dyn AsyncInstrument<I::Number>) + Send + Sync + 'static) {
        I::build(&self.definition, &global::meter(METER), callback);
    }
}

/// Implements [`Instrument`] for a type of the API by its builder.
macro_rules! instruments {
    ($($instrument:ty, $kind:ident, $builder:ident;)*) => {$(
        impl Instrument for $instrument {
            const KIND: Kind = Kind::$kind;

            fn build(definition: &Definition, meter: &Meter) -> Self {
                let Definition { name, unit, description, .. } = *definition;
                meter.$builder(name).with_unit(unit).with_description(description).build()
            }
        }
    )*};
}

instruments! {
    Counter<u64>, Counter, u64_counter;
    UpDownCounter<i64>, UpDownCounter, i64_up_down_counter;
    Gauge<u64>, Gauge, u64_gauge;
    Gauge<f64>, Gauge, f64_gauge;
}

impl Instrument for Histogram<f64> {
    const KIND: Kind = Kind::Histogram;

    fn build(definition: &Definition, meter: &Meter) -> Self {
        let Definition { name, unit, description, bounds, .. } = *definition;
        meter.f64_histogram(name).with_unit(unit).with_description(description).with_boundaries(bounds.to_vec()).build()
    }
}

/// Implements [`Observable`] for a type of the API by its builder.
macro_rules! observables {
    ($($instrument:ident<$number:ty>, $kind:ident, $builder:ident;)*) => {$(
        impl Observable for $instrument<$number> {
            type Number = $number;
            const KIND: Kind = Kind::$kind;

            fn build<F>(definition: &Definition, meter: &Meter, callback: F) -> Self
            where
                F: Fn(&dyn AsyncInstrument<$number>) + Send + Sync + 'static,
            {
                let Definition { name, unit, description, .. } = *definition;
                meter.$builder(name).with_unit(unit).with_description(description).with_callback(callback).build()
            }
        }
    )*};
}

observables! {
    ObservableCounter<u64>, Counter, u64_observable_counter;
    ObservableCounter<f64>, Counter, f64_observable_counter;
    ObservableUpDownCounter<i64>, UpDownCounter, i64_observable_up_down_counter;
    ObservableGauge<u64>, Gauge, u64_observable_gauge;
    ObservableGauge<f64>, Gauge, f64_observable_gauge;
}
