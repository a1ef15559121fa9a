//! What a person sees: colours and spinners on a terminal only.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};

pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
pub(crate) const RED: Style = AnsiColor::Red.on_default();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();

/// The colour of a service's name.
pub(crate) fn colour(service: &str) -> Style {
    match service {
        "user" => AnsiColor::Cyan.on_default(),
        "order" => AnsiColor::Magenta.on_default(),
        "payment" => AnsiColor::Blue.on_default(),
        _ => BOLD,
    }
}

/// Prints one line of a service's log, or of the supervisor's own (`trireme`).
pub(crate) fn line(service: &str, text: &str) {
    let style = colour(service);
    anstream::println!("{style}{service:>8}{style:#} {DIM}|{DIM:#} {text}");
}

/// A spinner with words beside it; nothing where standard error is no terminal.
pub(crate) fn spinner(words: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner:.green} {msg} {elapsed:.dim}");
    let bar = ProgressBar::new_spinner().with_message(words.to_owned());
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(80));
    bar
}
