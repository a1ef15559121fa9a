//! A trace as lines for a terminal: service, span, when and how long as a bar, and what failed.

use std::{collections::BTreeSet, time::Duration};

use anstyle::{AnsiColor, Style};

use super::{
    otlp::{Kind, Span},
    tree::{self, Row},
};
use crate::{
    output::{bold, dim},
    service::Service,
};

/// The widths of the columns, in characters.
const NAME: usize = 48;
const BAR: usize = 28;

/// A head, and a line for each span.
pub(crate) fn picture(spans: &[Span], trace: &str) -> Vec<String> {
    let rows = tree::rows(spans, trace);
    let start = rows.iter().map(|row| row.span.start).min().unwrap_or_default();
    let end = rows.iter().map(|row| row.span.end).max().unwrap_or_default();
    let services: BTreeSet<&str> = rows.iter().map(|row| row.span.service.as_str()).collect();
    let services = services.into_iter().collect::<Vec<_>>().join(", ");
    let head = format!("trace {trace}   {}   {} spans of {services}", time(end - start), rows.len());
    std::iter::once(bold(&head)).chain(rows.iter().map(|row| line(row, start, end))).collect()
}

fn line(Row { span, branches }: &Row<'_>, start: u64, end: u64) -> String {
    let service = styled(&format!("{:<8}", span.service), colour(&span.service));
    let name = fitted(&format!("{branches}{}{}", mark(span.kind), described(span)), NAME);
    let bar = bar(span, start, end);
    let took = time(span.end.saturating_sub(span.start));
    match &span.failure {
        Some(failure) => {
            let red = AnsiColor::Red.on_default();
            format!("{service} {}", styled(&format!("{name} {bar} {took:>9}  {failure}"), red))
        }
        None => format!("{service} {name} {} {}", styled(&bar, colour(&span.service)), dim(&format!("{took:>9}"))),
    }
}

/// What goes over the bus is marked.
fn mark(kind: Kind) -> &'static str {
    match kind {
        Kind::Producer => "⇢ ",
        Kind::Consumer => "⇠ ",
        Kind::Internal | Kind::Server | Kind::Client => "",
    }
}

fn described(span: &Span) -> String {
    let status = span.attribute("http.response.status_code").map(|status| format!(" {status}")).unwrap_or_default();
    format!("{}{status}", span.name)
}

fn colour(service: &str) -> Style {
    let known = Service::ALL.into_iter().find(|known| known.name() == service);
    known.map(|service| service.colour().on_default()).unwrap_or_default()
}

fn styled(text: &str, style: Style) -> String {
    format!("{style}{text}{style:#}")
}

/// So many characters, and none that moves the cursor: names come from outside.
fn fitted(text: &str, width: usize) -> String {
    let mut shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(width).collect();
    if text.chars().count() > width {
        shown.pop();
        shown.push('…');
    }
    format!("{shown:<width$}")
}

/// Where in the whole the span lies; at least one cell.
fn bar(span: &Span, start: u64, end: u64) -> String {
    let whole = u128::from(end.saturating_sub(start).max(1));
    let cell = |at: u64, up: u128| {
        let cells = (u128::from(at.saturating_sub(start)) * BAR as u128 + up) / whole;
        usize::try_from(cells).unwrap_or(BAR).min(BAR)
    };
    let from = cell(span.start, 0).min(BAR - 1);
    let to = cell(span.end, whole - 1).max(from + 1);
    format!("{}{}{}", " ".repeat(from), "█".repeat(to - from), " ".repeat(BAR - to))
}

/// Nanoseconds for people.
fn time(nanos: u64) -> String {
    let time = Duration::from_nanos(nanos);
    match nanos {
        0..1_000_000 => format!("{} µs", time.as_micros()),
        1_000_000..1_000_000_000 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        _ => format!("{:.2} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: &str, (start, end): (u64, u64)) -> Span {
        let (id, parent, service) = (id.to_owned(), parent.to_owned(), "order".to_owned());
        Span { service, trace: "t".into(), name: id.clone(), id, parent, start, end, ..Span::default() }
    }

    fn plain(spans: &[Span]) -> Vec<String> {
        let lines = picture(spans, "t");
        lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
    }

    #[test]
    fn a_trace_is_drawn() {
        let mut root = span("POST /v1/orders", "", (0, 28_000_000));
        root.attributes.insert("http.response.status_code".into(), "201".into());
        let mut event = span("process order.confirmed.v1", "POST /v1/orders", (14_000_000, 28_000_000));
        (event.service, event.kind) = ("user".into(), Kind::Consumer);
        let name = |text: &str| format!("{text:<48}");
        assert_eq!(
            plain(&[root, event]),
            [
                "trace t   28.0 ms   2 spans of order, user".to_owned(),
                format!("order    {} {}   28.0 ms", name("POST /v1/orders 201"), "█".repeat(28)),
                format!(
                    "user     {} {}{}   14.0 ms",
                    name("└ ⇠ process order.confirmed.v1"),
                    " ".repeat(14),
                    "█".repeat(14)
                ),
            ]
        );
    }

    #[test]
    fn what_failed_is_red_and_says_why() {
        let mut failed = span("authorize", "", (0, 5_000));
        failed.failure = Some("payment does not answer".into());
        let line = picture(&[failed], "t").remove(1);
        assert!(line.contains("\u{1b}[31m") && line.contains("payment does not answer"), "{line}");
        let fine = picture(&[span("authorize", "", (0, 5_000))], "t").remove(1);
        assert!(!fine.contains("\u{1b}[31m"));
    }

    #[test]
    fn a_bar_has_a_cell_at_least_and_stays_in_its_column() {
        for (start, end) in [(0, 0), (0, 100), (99, 100), (100, 100), (50, 51)] {
            let bar = bar(&span("a", "", (start, end)), 0, 100);
            assert!(bar.contains('█') && bar.chars().count() == BAR, "{start}..{end}: {bar:?}");
        }
    }

    #[test]
    fn a_name_from_outside_moves_no_cursor_and_no_column() {
        let long = span(&format!("\u{1b}[2J{}", "x".repeat(100)), "", (0, 1));
        let line = plain(&[long]).remove(1);
        assert!(!line.contains('\u{1b}') && line.contains('…'), "{line}");
        assert_eq!(line.chars().count(), 8 + 1 + NAME + 1 + BAR + 1 + 9);
    }
}
