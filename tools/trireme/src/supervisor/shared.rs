//! What the supervisor and the loops of its processes share: state, failure, the end of each log.

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use anyhow::Result;
use tokio::sync::watch;

use super::Options;
use crate::{
    environment::environment,
    http::Http,
    output::{Logs, Output},
    service::Service,
    state::{ServerState, ServiceState, State},
};

/// How many lines of a service's log go into an error.
const LAST_LINES: usize = 12;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) http: Http,
    state: watch::Sender<State>,
    failure: watch::Sender<Option<String>>,
    logged: Mutex<HashMap<Service, VecDeque<String>>>,
}

impl Shared {
    pub(super) fn new(options: Options, state: State) -> Self {
        Self {
            options,
            http: Http::new(),
            state: watch::Sender::new(state),
            failure: watch::Sender::new(None),
            logged: Mutex::default(),
        }
    }

    pub(super) fn output(&self) -> &Output {
        &self.options.output
    }

    pub(super) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Changes the state, and writes it down before anybody sees it.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(|state| {
            change(state);
            if let Err(error) = self.options.data.write_state(state) {
                self.output().notice(&format!("{error:#}"));
            }
        });
    }

    pub(super) fn change_service(&self, name: Service, change: impl FnOnce(&mut ServiceState)) {
        self.change(|state| {
            if let Some(service) = state.service_mut(name) {
                change(service);
            }
        });
    }

    /// Changes what is known of a server, or of what watches.
    pub(super) fn change_program(&self, name: &str, change: impl FnOnce(&mut ServerState)) {
        self.change(|state| {
            let mut programs = state.servers.iter_mut().chain(&mut state.observers);
            if let Some(program) = programs.find(|program| program.name == name) {
                change(program);
            }
        });
    }

    pub(super) async fn wait_for(&self, condition: impl FnMut(&State) -> bool) {
        // The sender lives as long as this does.
        let _ = self.state.subscribe().wait_for(condition).await;
    }

    /// Only the first failure is kept.
    pub(super) fn fail(&self, failure: String) {
        self.failure.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(failure);
            is_first
        });
    }

    pub(super) async fn failed(&self) -> String {
        let mut failure = self.failure.subscribe();
        let failed = failure.wait_for(Option::is_some).await;
        failed.ok().and_then(|failure| failure.clone()).unwrap_or_default()
    }

    /// Shows a line of a service's log, and keeps it for a while.
    pub(super) fn logged(&self, service: Service, line: &str) {
        self.output().log(service, line);
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = logged.entry(service).or_default();
        lines.push_back(line.to_owned());
        if lines.len() > LAST_LINES {
            lines.pop_front();
        }
    }

    /// The end of a service's log, for an error.
    pub(super) fn end_of_log(&self, service: Service) -> String {
        let lines: Vec<String> = match self.options.logs {
            Logs::Shown => {
                let logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
                logged.get(&service).into_iter().flatten().cloned().collect()
            }
            Logs::Files => {
                let text = std::fs::read_to_string(self.options.data.log(service)).unwrap_or_default();
                let lines: Vec<_> = text.lines().map(str::to_owned).collect();
                lines[lines.len().saturating_sub(LAST_LINES)..].to_vec()
            }
        };
        lines.iter().fold(String::new(), |text, line| text + &format!("  {service}: {line}\n"))
    }

    pub(super) fn program(&self, service: Service) -> PathBuf {
        self.options.binaries.join(service.name())
    }

    pub(super) fn environment(&self, service: Service) -> Result<Vec<(&'static str, String)>> {
        environment(service, &self.options.data, &self.state.borrow())
    }
}
