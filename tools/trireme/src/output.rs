//! What is shown: on a terminal prefixed and coloured, elsewhere plain, in the background in files.

use std::{
    io::IsTerminal as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    service::Service,
    state::{Addresses, ServerState, ServiceState, State},
};

/// Where the services' logs go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logs {
    /// To standard output: with the service's name and colour on a terminal, as they are elsewhere.
    Shown,
    /// To `logs/<service>.log` in the data directory.
    Files,
}

/// Prints lines, and a spinner below them while something is waited for. Clones share it.
#[derive(Clone, Debug)]
pub struct Output(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    terminal: bool,
    spinner: Mutex<Option<ProgressBar>>,
}

impl Output {
    /// Finds out whether there is a terminal.
    pub fn new() -> Self {
        let terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        Self(Arc::new(Inner { terminal, spinner: Mutex::default() }))
    }

    /// Whether somebody watches.
    pub fn is_terminal(&self) -> bool {
        self.0.terminal
    }

    /// Prints a line; styles in it are left out where there is no terminal.
    pub fn line(&self, text: &str) {
        self.above_spinner(|| anstream::println!("{text}"));
    }

    /// Prints several lines.
    pub fn lines(&self, lines: &[String]) {
        for line in lines {
            self.line(line);
        }
    }

    /// Prints what the supervisor has to say, apart from what the services print.
    pub fn notice(&self, text: &str) {
        let style = Style::new().bold();
        self.above_spinner(|| anstream::eprintln!("{style}trireme{style:#} {text}"));
    }

    /// Prints a line of a service's log.
    pub(crate) fn log(&self, service: Service, line: &str) {
        if self.0.terminal {
            let colour = service.colour().on_default();
            self.above_spinner(|| anstream::println!("{colour}{service:>7} |{colour:#} {line}"));
        } else {
            anstream::println!("{line}");
        }
    }

    /// Shows a spinner until the answer is dropped; nothing where there is no terminal.
    pub(crate) fn wait(&self, text: &str) -> Waiting<'_> {
        if self.0.terminal {
            let spinner = ProgressBar::new_spinner().with_message(text.to_owned());
            if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim}") {
                spinner.set_style(style);
            }
            spinner.enable_steady_tick(Duration::from_millis(80));
            *self.spinner() = Some(spinner);
        }
        Waiting(self)
    }

    fn above_spinner(&self, print: impl FnOnce()) {
        match &*self.spinner() {
            Some(spinner) => spinner.suspend(print),
            None => print(),
        }
    }

    fn spinner(&self) -> MutexGuard<'_, Option<ProgressBar>> {
        self.0.spinner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::new()
    }
}

/// A spinner that is shown.
#[derive(Debug)]
pub(crate) struct Waiting<'a>(&'a Output);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(spinner) = self.0.spinner().take() {
            spinner.finish_and_clear();
        }
    }
}

/// Something less important.
pub(crate) fn dim(text: &str) -> String {
    let style = Style::new().dimmed();
    format!("{style}{text}{style:#}")
}

/// Something to be seen.
pub(crate) fn bold(text: &str) -> String {
    let style = Style::new().bold();
    format!("{style}{text}{style:#}")
}

/// A mark for what holds, or does not.
pub(crate) fn mark(good: bool) -> String {
    let (colour, mark) = if good { (AnsiColor::Green, "✓") } else { (AnsiColor::Red, "✗") };
    let style = colour.on_default().bold();
    format!("{style}{mark}{style:#}")
}

/// One line for each service, for each server that they run on, and for what watches them.
pub(crate) fn addresses(state: &State) -> Vec<String> {
    let line = |service: &ServiceState| {
        let pid = service.pid.map(|pid| dim(&format!("pid {pid}"))).unwrap_or_default();
        let Addresses { http, grpc, admin } = &service.addresses;
        format!("  {:<8} {http}   {} {grpc}   {} {admin}   {pid}", service.name, dim("gRPC"), dim("admin"))
    };
    let server = |server: &ServerState| {
        let pid = server.pid.map(|pid| dim(&format!("pid {pid}"))).unwrap_or_default();
        format!("  {:<8} 127.0.0.1:{}   {pid}", server.name, server.port)
    };
    let observer = |observer: &ServerState| {
        let pid = observer.pid.map(|pid| dim(&format!("pid {pid}"))).unwrap_or_default();
        format!("  {:<10} http://127.0.0.1:{}   {pid}", observer.name, observer.port)
    };
    let programs = state.servers.iter().map(server).chain(state.observers.iter().map(observer));
    state.services.iter().map(line).chain(programs).collect()
}
