//! The format of a log line: for people on a terminal, JSON otherwise; always with the ids of its trace.

use std::{
    cell::Cell,
    error::Error,
    fmt::{self, Display, Write as _},
    io::{self, Write as _},
};

use anstyle::{AnsiColor, Style};
use opentelemetry::{Context, trace::TraceContextExt as _};
use serde::{Serialize, Serializer as _, ser::SerializeMap};
use serde_json::Serializer;
use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};
use tracing::{
    Event, Level,
    field::{Field, Visit},
};

use crate::{lines::Repeats, output::Output, scope};

/// Writes events of one service, a line each.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) service: &'static str,
    pub(crate) json: bool,
    /// Whether those for people have colours.
    pub(crate) colours: bool,
    pub(crate) repeats: Repeats,
    pub(crate) out: Output,
}

/// A longer line's memory is given back.
const KEPT: usize = 16 * 1024;

thread_local! {
    /// The memory of this thread's last line.
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The names that are the line's own: a field cannot pose as the trace id.
const OWN: [&str; 8] = ["timestamp", "level", "service", "target", "span_id", "trace_id", "canary", "left_out"];

impl Lines {
    /// Writes an event.
    pub(crate) fn write(&self, event: &Event<'_>) {
        // A value that writes a line while it is formatted finds an empty one.
        let mut line = LINE.take();
        line.clear();
        let written = if self.json {
            self.json(&mut line, event).map_err(io::Error::other)
        } else {
            self.pretty(&mut line, event)
        };
        if written.is_ok() {
            line.push(b'\n');
            self.out.line(&line);
        }
        if line.capacity() <= KEPT {
            LINE.set(line);
        }
    }

    fn json(&self, line: &mut Vec<u8>, event: &Event<'_>) -> serde_json::Result<()> {
        let mut serializer = Serializer::new(line);
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("timestamp", &OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default())?;
        line.serialize_entry("level", event.metadata().level().as_str())?;
        line.serialize_entry("service", self.service)?;
        line.serialize_entry("target", event.metadata().target())?;
        let mut members = Fields(Members { line: &mut line, written: Ok(()) });
        event.record(&mut members);
        members.0.written?;
        let left_out = self.repeats.take(event.metadata());
        if left_out > 0 {
            line.serialize_entry("left_out", &left_out)?;
        }
        let context = Context::current();
        let span = context.span();
        if span.span_context().is_valid() {
            line.serialize_entry("span_id", &format_args!("{}", span.span_context().span_id()))?;
        }
        if let Some(trace) = scope::trace_id() {
            line.serialize_entry("trace_id", &trace)?;
        }
        if scope::canary() {
            line.serialize_entry("canary", &true)?;
        }
        line.end()
    }

    fn pretty(&self, line: &mut Vec<u8>, event: &Event<'_>) -> io::Result<()> {
        let style = |colour: AnsiColor| if self.colours { colour.on_default() } else { Style::new() };
        let dim = if self.colours { Style::new().dimmed() } else { Style::new() };
        let level = match *event.metadata().level() {
            Level::ERROR => style(AnsiColor::Red),
            Level::WARN => style(AnsiColor::Yellow),
            Level::INFO => style(AnsiColor::Green),
            Level::DEBUG | Level::TRACE => dim,
        };
        let clock = format_description!("[hour]:[minute]:[second].[subsecond digits:3]");
        let now = OffsetDateTime::now_utc().format(&clock).unwrap_or_default();
        let name = event.metadata().level().as_str();
        let mut fields = Fields(Words { dim, message: String::new(), others: String::new() });
        event.record(&mut fields);
        let Fields(Words { message, others, .. }) = fields;
        write!(line, "{dim}{now}{dim:#} {level}{name:>5}{level:#} {message}{others}")?;
        let left_out = self.repeats.take(event.metadata());
        if left_out > 0 {
            write!(line, " {dim}left_out={dim:#}{left_out}")?;
        }
        if let Some(trace) = scope::trace_id() {
            write!(line, " {dim}trace={trace}{dim:#}")?;
        }
        if scope::canary() {
            write!(line, " {dim}canary{dim:#}")?;
        }
        Ok(())
    }
}

/// Takes the fields of an event, one after the other.
trait Take {
    fn take<T: Serialize + Display + ?Sized>(&mut self, name: &'static str, value: &T);
}

/// Gives each field as what it is.
struct Fields<T>(T);

impl<T: Take> Visit for Fields<T> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.take(field.name(), &format_args!("{value:?}"));
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
        self.0.take(field.name(), &text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.take(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.take(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.take(field.name(), &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.take(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.take(field.name(), &value);
    }
}

/// Fields as members of the line's object.
struct Members<'a, M: SerializeMap> {
    line: &'a mut M,
    written: Result<(), M::Error>,
}

impl<M: SerializeMap> Take for Members<'_, M> {
    fn take<T: Serialize + Display + ?Sized>(&mut self, name: &'static str, value: &T) {
        if self.written.is_ok() && !OWN.contains(&name) {
            self.written = self.line.serialize_entry(name, value);
        }
    }
}

/// Fields as words, the message before the others.
struct Words {
    dim: Style,
    message: String,
    others: String,
}

impl Take for Words {
    fn take<T: Serialize + Display + ?Sized>(&mut self, name: &'static str, value: &T) {
        // Writing to a string does not fail.
        let _ = if name == "message" {
            write!(Shown(&mut self.message), "{value}")
        } else {
            let dim = self.dim;
            self.others.push(' ');
            write!(self.others, "{dim}{name}={dim:#}").and_then(|()| write!(Shown(&mut self.others), "{value}"))
        };
    }
}

/// Text without control characters, so that nothing logged can move the cursor or forge a line.
struct Shown<'a>(&'a mut String);

impl fmt::Write for Shown<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::{Layer, Registry, layer, layer::SubscriberExt as _};

    use super::*;
    use crate::output;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            io::Write::write(&mut *self.0.lock().expect("nobody panics"), bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Layer<Registry> for Lines {
        fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, Registry>) {
            self.write(event);
        }
    }

    /// What is written of this.
    fn lines(json: bool, log: impl FnOnce()) -> String {
        let written = Written::default();
        let (out, flush) = output::start(written.clone()).expect("a thread");
        let lines = Lines { service: "test", json, colours: false, repeats: Repeats::default(), out };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), log);
        drop(flush);
        let bytes = written.0.lock().expect("nobody panics").clone();
        String::from_utf8(bytes).expect("text")
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
            let text = lines(json, || tracing::warn!(error = &error as &dyn Error, "cannot publish"));
            assert!(text.contains("the bus is unavailable: cannot write: disk full"), "{text}");
            assert_eq!(text.matches("disk full").count(), 1, "{text}");
        }
    }

    #[test]
    fn fields_keep_their_types_and_do_not_pose_as_the_lines_own() {
        let text = lines(true, || tracing::info!(took_ms = 1.5, n = 7, ok = true, trace_id = "forged", "a {}", "b\n"));
        let mut line: serde_json::Value = serde_json::from_str(&text).expect("one object");
        let timestamp = line["timestamp"].take();
        assert!(timestamp.as_str().is_some_and(|time| time.ends_with('Z')), "{timestamp}");
        let expected = serde_json::json!({
            "timestamp": null, "level": "INFO", "service": "test", "target": "telemetry::format::tests",
            "took_ms": 1.5, "n": 7, "ok": true, "message": "a b\n",
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn nothing_that_is_logged_forges_a_line_for_people() {
        let text = lines(false, || tracing::info!(name = "a\nb\u{1b}[2J", n = 7, "first\nsecond"));
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert!(text.ends_with(" INFO first second name=a b [2J n=7\n"), "{text}");
    }
}
