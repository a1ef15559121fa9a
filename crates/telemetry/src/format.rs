//! The format of a log line: for people on a terminal, JSON otherwise; always with the ids of its trace.

use std::{error::Error, fmt};

use anstyle::{AnsiColor, Style};
use opentelemetry::{Context, trace::TraceContextExt as _};
use serde::{Serializer as _, ser::SerializeMap as _};
use serde_json::{Serializer, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::{lines::Repeats, scope};

/// Formats events of one service.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) service: &'static str,
    pub(crate) json: bool,
    pub(crate) repeats: Repeats,
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn keep(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("message", value) => self.message = value.to_string(),
            (name, value) => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, format!("{value:?}").into());
    }

    /// With its causes: each error says its own layer only.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            let own = error.to_string();
            // Some say their cause themselves.
            if !text.ends_with(&own) {
                text.push_str(": ");
                text.push_str(&own);
            }
            cause = error.source();
        }
        self.keep(field, text.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, value.into());
    }
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let left_out = self.repeats.take(event.metadata());
        if left_out > 0 {
            fields.others.push(("left_out", left_out.into()));
        }
        if !self.json {
            return pretty(&mut to, event, &fields);
        }
        let line = self.json(event, &fields).map_err(|_| fmt::Error)?;
        writeln!(to, "{}", str::from_utf8(&line).map_err(|_| fmt::Error)?)
    }
}

/// The names that are the line's own: a field cannot pose as the trace id.
const OWN: [&str; 8] = ["timestamp", "level", "service", "target", "message", "span_id", "trace_id", "canary"];

impl Line {
    fn json(&self, event: &Event<'_>, fields: &Fields) -> serde_json::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(512);
        let mut serializer = Serializer::new(&mut text);
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("timestamp", &OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default())?;
        line.serialize_entry("level", event.metadata().level().as_str())?;
        line.serialize_entry("service", self.service)?;
        line.serialize_entry("target", event.metadata().target())?;
        line.serialize_entry("message", &fields.message)?;
        let context = Context::current();
        let span = context.span();
        if span.span_context().is_valid() {
            line.serialize_entry("span_id", &span.span_context().span_id().to_string())?;
        }
        if let Some(trace) = scope::trace_id() {
            line.serialize_entry("trace_id", &trace)?;
        }
        if scope::canary() {
            line.serialize_entry("canary", &true)?;
        }
        for (name, value) in fields.others.iter().filter(|(name, _)| !OWN.contains(name)) {
            line.serialize_entry(name, value)?;
        }
        line.end()?;
        Ok(text)
    }
}

fn pretty(to: &mut Writer<'_>, event: &Event<'_>, fields: &Fields) -> fmt::Result {
    let plain = !to.has_ansi_escapes();
    let style = |colour: AnsiColor| if plain { Style::new() } else { colour.on_default() };
    let dim = if plain { Style::new() } else { Style::new().dimmed() };
    let level = match *event.metadata().level() {
        Level::ERROR => style(AnsiColor::Red),
        Level::WARN => style(AnsiColor::Yellow),
        Level::INFO => style(AnsiColor::Green),
        Level::DEBUG | Level::TRACE => dim,
    };
    let clock = format_description!("[hour]:[minute]:[second].[subsecond digits:3]");
    let now = OffsetDateTime::now_utc().format(&clock).unwrap_or_default();
    let name = event.metadata().level().as_str();
    write!(to, "{dim}{now}{dim:#} {level}{name:>5}{level:#} {}", shown(&fields.message))?;
    for (name, value) in &fields.others {
        match value {
            Value::String(text) => write!(to, " {dim}{name}={dim:#}{}", shown(text))?,
            value => write!(to, " {dim}{name}={dim:#}{value}")?,
        }
    }
    if let Some(trace) = scope::trace_id() {
        write!(to, " {dim}trace={trace}{dim:#}")?;
    }
    if scope::canary() {
        write!(to, " {dim}canary{dim:#}")?;
    }
    writeln!(to)
}

/// Text without control characters, so that nothing logged can move the cursor or forge a line.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt as _};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            io::Write::write(&mut *self.0.lock().expect("nobody panics"), bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the bus is unavailable")]
    struct Unavailable(#[source] Refused);

    #[derive(Debug, thiserror::Error)]
    #[error("cannot write: {0}")]
    struct Refused(#[source] io::Error);

    /// Each cause once, also where an error has said its own.
    #[test]
    fn an_error_is_written_with_its_causes() {
        let error = Unavailable(Refused(io::Error::other("disk full")));
        for json in [false, true] {
            let lines = Lines::default();
            let layer = tracing_subscriber::fmt::layer()
                .event_format(Line { service: "test", json, repeats: Repeats::default() })
                .with_ansi(false)
                .with_writer(lines.clone());
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
                tracing::warn!(error = &error as &dyn Error, "cannot publish");
            });
            let text = String::from_utf8(lines.0.lock().expect("nobody panics").clone()).expect("text");
            assert!(text.contains("the bus is unavailable: cannot write: disk full"), "{text}");
            assert_eq!(text.matches("disk full").count(), 1, "{text}");
        }
    }
}
