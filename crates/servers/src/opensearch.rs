//! OpenSearch: one node, without the distribution around it; .ci/opensearch holds its source.

use std::{path::Path, process::Command};

/// The class of the node.
const NODE: &str = "OpenSearchNode";

/// The command that runs it on a port of 127.0.0.1, in 300 MiB.
pub(super) fn command(java: &Path, installed: &Path, data: &Path, port: &str) -> Command {
    let mut command = Command::new(java);
    let log = format!("-Dlog4j2.configurationFile={}", installed.join("log4j2.properties").display());
    let temporary = format!("-Djava.io.tmpdir={}", data.display());
    let classes = format!("{0}/out:{0}/lib/*", installed.display());
    command.args(["-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]);
    command.args([&log, &temporary, "-Dlog4j2.disable.jmx=true", "-cp", &classes, NODE]).arg(data).arg(port);
    command
}
