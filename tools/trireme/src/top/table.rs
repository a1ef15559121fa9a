//! The figures of all services as a table.

use anstyle::AnsiColor;

use super::figures::Figures;
use crate::{
    output::{bold, dim},
    service::Service,
};

/// A line for each service under a head; who did not answer is said to.
pub(crate) fn table(rows: &[(Service, Option<Figures>)]) -> Vec<String> {
    let head =
        row("", &["req/s", "errors", "p50", "p99", "outbox", "lag", "sagas", "memory", "cpu"].map(str::to_owned));
    std::iter::once(bold(&head)).chain(rows.iter().map(|(service, figures)| line(*service, figures.as_ref()))).collect()
}

fn line(service: Service, figures: Option<&Figures>) -> String {
    let Some(figures) = figures else {
        return red(&format!("{service:<8} does not answer"));
    };
    let cells = [
        format!("{:.1}", figures.requests),
        shown(figures.errors, |errors| format!("{:.1} %", errors * 100.0)),
        shown(figures.median, seconds),
        shown(figures.p99, seconds),
        shown(figures.outbox, whole),
        shown(figures.lag, whole),
        shown(figures.sagas, whole),
        shown(figures.memory, |bytes| format!("{:.1} MiB", bytes / f64::from(1 << 20))),
        shown(figures.cpu, |cores| format!("{:.0} %", cores * 100.0)),
    ];
    let line = row(service.name(), &cells);
    match figures.errors {
        Some(errors) if errors > 0.0 => red(&line),
        _ if figures.requests > 0.0 => line,
        _ => dim(&line),
    }
}

fn row(name: &str, cells: &[String; 9]) -> String {
    cells.iter().fold(format!("{name:<8}"), |line, cell| format!("{line}{cell:>10}"))
}

fn shown(value: Option<f64>, text: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.1} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}

fn whole(number: f64) -> String {
    format!("{number:.0}")
}

fn red(text: &str) -> String {
    let style = AnsiColor::Red.on_default();
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_has_its_line() {
        let figures = Figures {
            requests: 120.0,
            errors: Some(0.005),
            median: Some(0.0012),
            p99: Some(1.5),
            outbox: Some(3.0),
            sagas: Some(2.0),
            memory: Some(14.5 * 1_048_576.0),
            cpu: Some(0.25),
            lag: None,
        };
        let rows =
            [(Service::Order, Some(figures)), (Service::User, Some(Figures::default())), (Service::Payment, None)];
        let lines = table(&rows);
        let plain: Vec<_> = lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        let words = |line: usize| plain[line].split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(0), "req/s errors p50 p99 outbox lag sagas memory cpu");
        assert_eq!(words(1), "order 120.0 0.5 % 1.2 ms 1.50 s 3 - 2 14.5 MiB 25 %");
        assert_eq!(words(2), "user 0.0 - - - - - - - -");
        assert_eq!(words(3), "payment does not answer");
        assert!(lines[1].starts_with("\u{1b}[31m"), "who fails is red");
    }
}
