//! Which version of a server is installed.

use std::{fs, path::Path, process::Command};

use super::{Installed, Program};

impl Installed {
    /// Its version as it says it itself, such as `2.15.1`; `None` where it does not.
    pub fn version(&self) -> Option<String> {
        match &self.0 {
            Program::Postgres(folder) => said(&folder.join("postgres"), "--version"),
            Program::Mongod(program) | Program::Nats(program) | Program::Redis(program) => said(program, "--version"),
            Program::StandIn(_, folder) => of_jar(folder, "mongo-java-server-core-"),
            Program::Kafka(_, folder) => of_jar(folder, "kafka-clients-"),
            Program::OpenSearch(_, folder) => of_jar(folder, "opensearch-core-"),
            Program::RabbitMq(program) => said(&program.with_file_name("rabbitmqctl"), "version"),
        }
    }
}

/// The first word of what a program says that looks like a version.
fn said(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '=' | 'v' | ','));
    words
        .into_iter()
        .find(|word| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_owned)
}

/// What stands in the name of a library between this and `.jar`.
fn of_jar(folder: &Path, name: &str) -> Option<String> {
    let mut files = fs::read_dir(folder.join("lib")).ok()?.flatten().map(|entry| entry.file_name());
    files.find_map(|file| Some(file.to_str()?.strip_prefix(name)?.strip_suffix(".jar")?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::Server;
    use super::*;

    #[test]
    fn what_is_installed_says_its_version() {
        for server in
            [Server::Postgres, Server::Nats, Server::Redis, Server::Kafka, Server::RabbitMq, Server::OpenSearch]
        {
            let Some(installed) = Installed::find(server) else { continue };
            let version = installed.version().unwrap_or_default();
            assert!(
                version.starts_with(|c: char| c.is_ascii_digit()) && version.contains('.'),
                "{server}: {version:?}"
            );
        }
    }
}
