//! What the services' logs say first of a fault.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use e2e::{Cluster, SERVICES};
use nix::unistd::Pid;
use serde_json::Value;

/// Characters of a line that are shown.
const SHOWN: usize = 240;

/// The logs from the beginning of a fault.
pub(crate) struct Logs {
    folder: PathBuf,
    begun: Mutex<Begun>,
}

/// How things were when the fault began.
#[derive(Default)]
struct Begun {
    lengths: Vec<usize>,
    processes: Vec<Option<Pid>>,
}

impl Logs {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        Self { folder: cluster.data().join("logs"), begun: Mutex::default() }
    }

    /// The fault begins, and meets these processes.
    pub(crate) fn begin(&self, processes: Vec<Option<Pid>>) {
        let lengths = SERVICES.iter().map(|service| self.read(service).len()).collect();
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Begun { lengths, processes };
    }

    /// The processes that it met.
    pub(crate) fn processes(&self) -> Vec<Option<Pid>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).processes.clone()
    }

    fn read(&self, service: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(format!("{service}.log"))).unwrap_or_default()
    }

    /// The first warning or error of each service since then, shortened.
    pub(crate) fn said(&self) -> Vec<String> {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let mut said = Vec::new();
        for (service, length) in SERVICES.iter().zip(&begun.lengths) {
            let log = self.read(service);
            // One that was started again has a new log.
            let since = String::from_utf8_lossy(log.get(*length..).unwrap_or(&log)).into_owned();
            let mut lines = since.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let first = lines.find(|line| matches!(line["level"].as_str(), Some("WARN" | "ERROR")));
            said.push(format!("{service}: {}", first.map_or_else(|| "nothing".to_owned(), |line| shortened(&line))));
        }
        said
    }
}

fn shortened(line: &Value) -> String {
    let field = |name: &str| line[name].as_str().unwrap_or_default();
    let error = if field("error").is_empty() { String::new() } else { format!(": {}", field("error")) };
    let text = format!("{} {}{error}", field("level"), field("message")).replace(['\n', '|', '`'], " ");
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("`{shown}`")
}
